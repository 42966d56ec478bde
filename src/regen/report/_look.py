"""How a page looks, on a screen, on a phone, in the dark and on paper; and the few lines that draw its figures."""

__all__ = ["DRAW", "STYLE"]

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #5b626a; --rule: #dfe2e6; --paper: #fff; --tint: #f5f7f9;
  --blue: #0060a8 }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e4e6e9; --soft: #a4abb3; --rule: #33383e; --paper: #121417; --tint: #1b1e22; --blue: #6cb6f0 }
  .plot { filter: invert(0.93) hue-rotate(180deg) }
  .plot .imagelayer image, .plot .coloured { filter: invert(1) hue-rotate(180deg) }
}
* { box-sizing: border-box }
html { scroll-behavior: smooth }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 17px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
main, header, nav, footer { max-width: 1040px; margin: 0 auto; padding: 0 18px }
header { padding-top: 36px }
h1 { font-size: 1.9em; line-height: 1.2; margin: 0 0 .4em }
h2 { font-size: 1.35em; line-height: 1.25; margin: 2.6em 0 .5em; padding-top: .9em;
  border-top: 1px solid var(--rule) }
p { max-width: 44em; margin: 0 0 .8em }
nav ul, .links { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .2em 1.2em;
  font-size: .92em }
.links { margin: .4em 0 0 }
a { color: inherit; text-decoration-color: var(--soft); text-underline-offset: 3px }
.links a { color: var(--blue) }
:focus-visible { outline: 3px solid var(--blue); outline-offset: 2px; border-radius: 2px }
main:focus { outline: none }
.skip { position: absolute; left: -9999px; top: 0; background: var(--paper); padding: .5em 1em; z-index: 9 }
.skip:focus { left: 12px; top: 12px }
code { font-size: .9em; background: var(--tint); padding: .1em .3em; border-radius: 3px }
.content { display: grid; gap: 26px 30px; margin-top: 1.2em;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)) }
.content > * { margin: 0; min-width: 0 }
.wide { grid-column: 1 / -1 }
.still svg { display: block; width: 100%; height: auto }
.live { display: none }
.drawn .live { display: block } .drawn .still { display: none }
figcaption, caption, details { color: var(--soft); font-size: .88em; line-height: 1.45; text-align: left;
  max-width: 52em }
figcaption, details { margin-top: .4em }
summary { cursor: pointer }
caption { caption-side: bottom; padding-top: .6em }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .92em; font-variant-numeric: tabular-nums; overflow-wrap: normal }
details table { font-size: .9em; margin-top: .5em }
th, td { padding: .38em 1.3em .38em 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule) }
th { color: var(--soft); font-weight: 600; white-space: nowrap }
.number { text-align: right; white-space: nowrap }
footer { color: var(--soft); font-size: .88em; padding-top: 3em; padding-bottom: 3em }
@media (max-width: 600px) {
  body { font-size: 16px } table { font-size: .78em } th, td { padding-right: .6em } th { white-space: normal }
}
@media screen and (max-width: 600px) {  /* at the size that it was drawn for, its words can be read */
  .still { overflow-x: auto } .still svg { width: auto }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto } }
@media print {
  body { font-size: 10.5pt } main, header, footer { max-width: none; padding: 0 }
  nav, .skip, details { display: none }
  .drawn .live { display: none } .drawn .still { display: block }
  figure, tr { break-inside: avoid } h2 { break-after: avoid }
  .content { grid-template-columns: 1fr 1fr }
}
"""

DRAW = """
(() => {
  const packed = document.getElementById("plotly");
  if (!("DecompressionStream" in window && "IntersectionObserver" in window)) return;
  const config = {displayModeBar: false, displaylogo: false, responsive: true, scrollZoom: false};
  const draw = plot => {
    const {data, layout} = JSON.parse(plot.querySelector("script").textContent);
    plot.classList.add("drawn");
    Plotly.newPlot(plot.querySelector(".live"), data, layout, config)
      .catch(error => { plot.classList.remove("drawn"); console.error(error); });
  };
  const bytes = Uint8Array.from(atob(packed.textContent), letter => letter.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  new Response(plain).text().then(code => {
    const script = document.createElement("script");
    script.textContent = code;
    document.head.append(script);
    const seen = new IntersectionObserver(entries => entries.forEach(entry => {
      if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
    }), {rootMargin: "600px"});
    document.querySelectorAll(".plot").forEach(plot => seen.observe(plot));
  });
})();
"""
"""Unpacks plotly.js, and draws each figure when it is about to be seen. Without it the drawings stay."""
