import '../tokens.css';
import '../controls.css';
import '../app.css';
import { mount } from 'svelte';
import { addressesOf } from '../connection/address';
import { Http } from '../connection/http';
import { detectLanguage } from '../words/detect';
import Admin from './Admin.svelte';
import { Watch } from './watch.svelte';
import { ADMIN_WORDS } from './words';

const language = detectLanguage(navigator.languages);
const words = ADMIN_WORDS[language];
document.documentElement.lang = language;
document.title = words.title;
const watch = new Watch(new Http(addressesOf(location.href).base));
mount(Admin, { target: document.getElementById('app')!, props: { watch, words, language } });
watch.start();
