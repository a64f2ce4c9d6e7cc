import './app.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { Chat } from './chat.svelte';

const chat = new Chat(location.href);
mount(App, { target: document.getElementById('app')!, props: { chat } });
chat.start(takeCode());
followKeyboard();

/** The one-time code of a printed link; it is taken out of the address, and so out of the history. */
function takeCode(): string | null {
  const code = /^#code=(.+)$/.exec(location.hash)?.[1];
  if (code === undefined) return null;
  history.replaceState(null, '', location.pathname + location.search);
  // Codes are made of letters and digits; anything else is told to be wrong like a wrong one.
  return code;
}

/** Keeps the composer above the keyboard where the browser lays the page out behind it. */
function followKeyboard(): void {
  const seen = window.visualViewport;
  seen?.addEventListener('resize', () => {
    const zoomed = seen.scale > 1.01;
    const height = zoomed ? '100dvh' : `${seen.height}px`;
    document.documentElement.style.setProperty('--seen-height', height);
  });
}
