/**
 * Answers that try to run a script, to fetch something or to break out of their place.
 *
 * `RUN` is what they would run, `SINK` where they would fetch from; every vector is its own block.
 */
export function hostileVectors(sink: string): string[] {
  return [...singleVectors(sink), ...combinedVectors(sink)];
}

/** What a piece of HTML would do, in every place of Markdown that may hold it. */
function combinedVectors(sink: string): string[] {
  const RUN = 'pwned()';
  const pieces = [
    `<img src=x onerror=${RUN}>`,
    `<img/src/onerror=${RUN}>`,
    `<svg/onload=${RUN}>`,
    `<script>${RUN}</script>`,
    `<a href=javascript:${RUN}>x</a>`,
    `<a href="java&Tab;script:${RUN}">x</a>`,
    `<iframe src=${sink}/frame></iframe>`,
    `<video poster=${sink}/poster.png></video>`,
    `<p style="background:url(${sink}/style.png)">x</p>`,
    `<kbd onclick=${RUN} onmouseover=${RUN}>x</kbd>`,
    `<details ontoggle=${RUN} open><summary onfocus=${RUN} tabindex=0>x</summary></details>`,
    `"><img src=x onerror=${RUN}>`,
    `'-->"></style></script><svg onload=${RUN}>`,
  ];
  const places = [
    (piece: string) => `- ${piece}\n- [x] ${piece}\n  - ${piece}`,
    (piece: string) => `| ${piece} | x |\n|---|---|\n| ${piece} | ${piece} |`,
    (piece: string) => `> > ${piece}\n> # ${piece}`,
    (piece: string) => `[${piece}](https://example.org/${piece} "${piece}")`,
    (piece: string) => `![${piece}](${sink}/picture.png "${piece}")`,
    (piece: string) => `\`\`\`${piece}\n${piece}\n\`\`\``,
    (piece: string) => `text[^1] ${piece}\n\n[^1]: ${piece}`,
    (piece: string) => `$\\text{${piece}}$ and $$\\ce{${piece}}$$`,
    (piece: string) => `<details><summary>${piece}</summary>\n\n${piece}\n\n</details>`,
    (piece: string) => `H<sub>${piece}</sub> x<sup>${piece}</sup> <br>${piece}`,
  ];
  return places.flatMap((place) => pieces.map(place));
}

function singleVectors(sink: string): string[] {
  const RUN = 'pwned()';
  return [
    // Plain elements and handlers.
    `<script>${RUN}</script>`,
    `<script src="${sink}/a.js"></script>`,
    `<scr<script>ipt>${RUN}</scr</script>ipt>`,
    `<img src=x onerror=${RUN}>`,
    `<img src="${sink}/b.png">`,
    `<img srcset="${sink}/c.png 1x, ${sink}/d.png 2x">`,
    `<picture><source srcset="${sink}/e.png"><img></picture>`,
    `<body onload=${RUN}>`,
    `<iframe src="javascript:${RUN}"></iframe>`,
    `<iframe srcdoc="<script>parent.${RUN}</script>"></iframe>`,
    `<object data="${sink}/f.swf"></object>`,
    `<embed src="${sink}/g.svg">`,
    `<video src="${sink}/h.mp4" onloadstart=${RUN}></video>`,
    `<audio src=x onerror=${RUN}>`,
    `<input autofocus onfocus=${RUN}>`,
    `<select autofocus onfocus=${RUN}></select>`,
    `<details open ontoggle=${RUN}>x</details>`,
    `<marquee onstart=${RUN}>x</marquee>`,
    `<form action="javascript:${RUN}"><button>x</button></form>`,
    `<button formaction="javascript:${RUN}">x</button>`,
    `<link rel=stylesheet href="${sink}/i.css">`,
    `<link rel=prefetch href="${sink}/j">`,
    `<link rel=icon href="${sink}/k.ico">`,
    `<style>@import '${sink}/l.css'; * { background: url(${sink}/m.png) }</style>`,
    `<div style="background: url(${sink}/n.png)">x</div>`,
    `<base href="${sink}/">`,
    `<meta http-equiv=refresh content="0;url=${sink}/o">`,
    `<a href="javascript:${RUN}">x</a>`,
    `<a href="&#106;avascript:${RUN}">x</a>`,
    `<a ping="${sink}/p" href="#">x</a>`,
    // SVG, MathML and mutation.
    `<svg onload=${RUN}></svg>`,
    `<svg><script>${RUN}</script></svg>`,
    `<svg><image href="${sink}/q.png"/></svg>`,
    `<svg><use href="data:image/svg+xml,<svg id='x' onload='${RUN}'/>#x"/></svg>`,
    `<svg><foreignObject><iframe src="javascript:${RUN}"></iframe></foreignObject></svg>`,
    `<svg><animate onbegin=${RUN} attributeName=x dur=1s>`,
    `<svg><a xlink:href="javascript:${RUN}"><text y=20>x</text></a></svg>`,
    `<math href="javascript:${RUN}">x</math>`,
    `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=${RUN}&gt;">`,
    `<form><math><mtext></form><form><mglyph><style></math><img src onerror=${RUN}>`,
    `<svg></p><style><a id="</style><img src=1 onerror=${RUN}>">`,
    `<noscript><p title="</noscript><img src=x onerror=${RUN}>">`,
    `<template><img src=x onerror=${RUN}></template>`,
    `<textarea></textarea><img src=x onerror=${RUN}>`,
    `<xmp><p title="</xmp><img src=x onerror=${RUN}>">`,
    // Comments and declarations.
    `<!--><img src=x onerror=${RUN}>-->`,
    `<!-- <img src=x onerror=${RUN}> --!><img src=x onerror=${RUN}>`,
    `<![CDATA[><img src=x onerror=${RUN}>]]>`,
    `<?xml-stylesheet href="javascript:${RUN}"?>`,
    `<!DOCTYPE x [<!ENTITY y SYSTEM "${sink}/r">]>`,
    // Markdown links.
    `[x](javascript:${RUN})`,
    `[x](JaVaScRiPt:${RUN})`,
    `[x](java\tscript:${RUN})`,
    `[x](&#x6A;avascript:${RUN})`,
    `[x](javascript&colon;${RUN})`,
    `[x](<javascript:${RUN}>)`,
    `[x](vbscript:msgbox(1))`,
    `[x](data:text/html,<script>${RUN}</script>)`,
    `[x](data:text/html;base64,PHNjcmlwdD5wd25lZCgpPC9zY3JpcHQ+)`,
    `[x](https://example.org"onmouseover="${RUN})`,
    `[x](https://example.org 'x" onmouseover="${RUN}')`,
    `[<img src=x onerror=${RUN}>](https://example.org)`,
    `<javascript:${RUN}>`,
    `[x][ref]\n\n[ref]: javascript:${RUN} "title"`,
    `[x]: data:text/html,<script>${RUN}</script>\n\n[x]`,
    // Pictures, which must never be fetched.
    `![x](${sink}/s.png)`,
    `![x](${sink}/t.png "title")`,
    `![x][pic]\n\n[pic]: ${sink}/u.png`,
    `[![x](${sink}/v.png)](${sink}/w)`,
    `![x](javascript:${RUN})`,
    `![x"onerror="${RUN}](x)`,
    `![<img src=x onerror=${RUN}>](${sink}/x.png)`,
    `<${sink}/y.png>`,
    // Code and its language names.
    `\`<img src=x onerror=${RUN}>\``,
    `\`\`\`"><img src=x onerror=${RUN}>\n<img src=x onerror=${RUN}>\n\`\`\``,
    `\`\`\`html\n<script>${RUN}</script>\n<img src=x onerror=${RUN}>\n\`\`\``,
    `\`\`\`x" onmouseover="${RUN}\ncode\n\`\`\``,
    `- item\n\n  \`\`\`js\n  </code></pre><img src=x onerror=${RUN}>\n  \`\`\``,
    `\`\`\`__proto__\ncode\n\`\`\``,
    // Tables, headings, lists, quotes.
    `| <img src=x onerror=${RUN}> | b |\n|---|---|\n| <svg onload=${RUN}> | [x](javascript:${RUN}) |`,
    `# <img src=x onerror=${RUN}>`,
    `<img src=x onerror=${RUN}>\n===`,
    `- <img src=x onerror=${RUN}>\n- [ ] <input autofocus onfocus=${RUN}>`,
    `> <img src=x onerror=${RUN}>`,
    `**<img src=x onerror=${RUN}>** ~~<svg onload=${RUN}>~~ *<b onmouseover=${RUN}>x</b>*`,
    // Formulas.
    `$\\href{javascript:${RUN}}{x}$`,
    `$\\url{javascript:${RUN}}$`,
    `$\\includegraphics{${sink}/z.png}$`,
    `$\\htmlData{x=<img src=x onerror=${RUN}>}{x}$`,
    `$\\htmlStyle{background: url(${sink}/1.png)}{x}$`,
    `$\\text{<img src=x onerror=${RUN}>}$`,
    `$$\\def\\x{\\x\\x}\\x$$`,
    `$\\unknowncommand{<script>${RUN}</script>}$`,
    `$\\rule{1000em}{1000em}$`,
    // Attributes that would make the page lie or break.
    `<p id="app" class="trouble">x</p><div data-math="inline">\\href{javascript:${RUN}}{x}</div>`,
    `<span data-math="display">x</span><pre data-language="js">x</pre>`,
    `&lt;img src=x onerror=${RUN}&gt; &#60;script&#62;${RUN}&#60;/script&#62;`,
    `\u202E<img src=x onerror=${RUN}>\u202C \u0000<script\u0000>${RUN}</script>`,
  ];
}
