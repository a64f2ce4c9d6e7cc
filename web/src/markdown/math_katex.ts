import 'katex/dist/katex.min.css';
import katex from 'katex';

export const { render } = katex;
