/** How the page looks. Every colour and size that occurs more than once is a token at the top; class colours come from class-colours.ts. */
import { classColour } from '../class-colours';

function classTokens(classes: number): string {
  return Array.from({ length: classes }, (_, k) => `--class-${k}: rgb(${classColour(k).join(' ')});`).join(' ');
}

/** The style sheet for pages about so many classes. */
export function styleSheet(classes: number): string {
  return `
:root {
  color-scheme: light dark;
  ${classTokens(classes)}
  --paper: #fbfaf8; --card: #ffffff; --ink: #1d2126; --quiet: #5a636e; --line: #dfdcd6;
  --proponent: #0b7a75; --opponent: #a3327d; --focus: #1f6feb;
  --film: #000; --radius: 6px; --gap: 1rem; --page: 1400px;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --card: #1c2024; --ink: #e9e7e3; --quiet: #a3abb4; --line: #343a40;
    --proponent: #4fc4bb; --opponent: #e58cc6; --focus: #79b0ff;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 5.5rem; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
header, main, footer { max-width: var(--page); margin: 0 auto; padding: 0 clamp(0.75rem, 3vw, 2rem); }
h1 { font-size: clamp(1.5rem, 1rem + 2vw, 2.1rem); line-height: 1.2; margin: 1.5rem 0 0.5rem; }
h2 { font-size: 1.45rem; margin: 3rem 0 0.5rem; padding-top: 1rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1.1rem; margin: 0 0 0.25rem; }
h4 { font-size: 1rem; margin: 0 0 0.25rem; }
h5 { font-size: 0.85rem; margin: 0 0 0.25rem; font-weight: 600; }
p, ul, dl { margin: 0.4rem 0; max-width: 75ch; }
a { color: inherit; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.quiet { color: var(--quiet); font-size: 0.85rem; }
.whole { display: inline-block; max-width: 100%; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.warning { border-left: 4px solid var(--opponent); padding: 0.15rem 0.75rem; font-weight: 600; }
.formula { font-family: ui-monospace, monospace; font-size: 0.85rem; overflow-x: auto; overflow-wrap: anywhere; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: var(--radius); padding: var(--gap); margin: var(--gap) 0; }

.toolbar { position: sticky; top: 0; z-index: 1; background: var(--paper); border-bottom: 1px solid var(--line); }
.toolbar > * { max-width: var(--page); margin: 0 auto; padding: 0.5rem clamp(0.75rem, 3vw, 2rem); display: flex; flex-wrap: wrap; gap: 0.35rem 1.5rem; align-items: center; }
.toolbar fieldset { border: 0; margin: 0; padding: 0; display: flex; gap: 0.75rem; }
.toolbar legend { float: left; margin-right: 0.75rem; color: var(--quiet); }
.toolbar label { display: inline-flex; gap: 0.35rem; align-items: center; cursor: pointer; }
.toolbar input { accent-color: var(--focus); width: 1.05rem; height: 1.05rem; margin: 0; }
.legend { display: flex; gap: 0.25rem 1rem; flex-wrap: wrap; list-style: none; margin: 0; padding: 0; }
.swatch { display: inline-block; width: 0.85em; height: 0.85em; border-radius: 2px; background: var(--colour); border: 1px solid var(--ink); margin-right: 0.4em; vertical-align: -0.05em; }

.tables { display: flex; flex-wrap: wrap; gap: var(--gap) 2.5rem; }
.tables > * { min-width: 0; max-width: 100%; }
.cohort { display: flex; flex-wrap: wrap; gap: 0.5rem 2.5rem; }
.cohort > * { max-width: 100%; }
.cohort > :first-child { flex: 1 1 24rem; }
.explained { display: grid; grid-template-columns: minmax(0, 1fr); gap: 0 3rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.5rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.3rem; white-space: normal; }
th, td { text-align: right; padding: 0.3rem 0.7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th { font-weight: 600; }
.matrix td { padding: 0; }
.cell { display: block; padding: 0.3rem 0.7rem; min-width: 5.2rem; background: color-mix(in oklab, var(--sign, transparent) calc(var(--share, 0) * 60%), transparent); }
.proponent { --sign: var(--proponent); }
.opponent { --sign: var(--opponent); }

.slice { display: grid; gap: var(--gap) 2rem; grid-template-columns: minmax(0, 1fr); }
.films { display: grid; gap: 0.5rem; grid-template-columns: repeat(2, minmax(0, 1fr)); align-content: start; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: 0.8rem; line-height: 1.35; overflow-wrap: anywhere; }
.film { display: block; width: 100%; background: var(--film); border-radius: 3px; }
.film text { fill: #fff; font: 600 7px system-ui, sans-serif; paint-order: stroke; stroke: #000; stroke-width: 1.5px; }
.halo, .border { fill: none; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.halo { stroke: #000; stroke-width: 3px; stroke-opacity: 0.7; }
.border { stroke: var(--colour); stroke-width: 1.5px; }
.white { fill: none; stroke: #fff; stroke-width: 1px; stroke-opacity: 0.8; vector-effect: non-scaling-stroke; stroke-dasharray: 3 2; }
.dim { fill: #000; fill-opacity: 0.3; }
.fill { fill: var(--colour); fill-rule: evenodd; fill-opacity: 0.45; }
.region + .region { margin-top: 1.25rem; padding-top: 1rem; border-top: 1px solid var(--line); }
.lists { display: grid; gap: 0.75rem 1.5rem; grid-template-columns: minmax(0, 1fr); }
.strip { display: grid; gap: 0.6rem; grid-template-columns: repeat(3, minmax(0, 1fr)); list-style: none; margin: 0; padding: 0; max-width: none; }
.sign { color: var(--sign); }
.bar { display: block; height: 4px; margin: 3px 0; background: linear-gradient(var(--sign) 0 0) no-repeat var(--line); background-size: calc(var(--share) * 100%) 100%; border-radius: 2px; }
.score { font-weight: 600; }
.strip li, .gallery li { min-width: 0; }
figure > .maps { font-size: 0.8rem; line-height: 1.35; }
.gallery { display: grid; gap: 0.75rem; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); list-style: none; margin: 0.75rem 0; padding: 0; max-width: none; }
.plots { display: grid; gap: var(--gap); grid-template-columns: repeat(auto-fit, minmax(min(100%, 23rem), 1fr)); }
.plot { background: var(--card); border: 1px solid var(--line); border-radius: var(--radius); padding: 0.75rem; margin: var(--gap) 0; max-width: 36rem; }
.tables > .plot { flex: 1 1 24rem; margin: 0; }
.plots > .plot { margin: 0; }
.chart { display: block; width: 100%; height: auto; }
main h3 { margin-top: 2rem; }
.card > h3:first-child { margin-top: 0; }
main h4 { margin-top: 1rem; }
.region:first-child h4 { margin-top: 0; }
.verdict { padding-left: 0; list-style: none; max-width: 110ch; }
.verdict li { border-left: 4px solid var(--line); padding: 0.1rem 0.75rem; margin: 0.5rem 0; }
.verdict .shown { border-color: var(--proponent); }
code { font-family: ui-monospace, monospace; font-size: 0.9em; overflow-wrap: anywhere; }
details { margin: 0.75rem 0; }
summary { cursor: pointer; padding: 0.25rem 0; }
.contents { display: flex; flex-wrap: wrap; gap: 0.25rem 2.5rem; list-style: none; padding: 0; max-width: none; font-size: 0.9rem; }
.contents ul { list-style: none; padding: 0; margin: 0; columns: 2; column-gap: 1.5rem; }
.skip { position: absolute; left: -100vw; z-index: 2; background: var(--card); padding: 0.5rem 1rem; }
.skip:focus { left: 0; }
.toolbar .map-legend { padding-top: 0; font-size: 0.85rem; }
footer { margin-top: 3rem; padding-top: 1rem; padding-bottom: 2rem; border-top: 1px solid var(--line); }

@media (min-width: 700px) {
  .lists { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media (min-width: 1000px) {
  .slice:has(> :nth-child(2)) { grid-template-columns: minmax(18rem, 1fr) minmax(0, 2.2fr); }
  .slice > :first-child:not(:only-child) { position: sticky; top: 5rem; align-self: start; }
  .explained { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media (min-width: 2200px) {
  html { font-size: 125%; }
  .film text { font-size: 4.5px; stroke-width: 1px; }
  body { font-size: 1rem; }
  :root { --page: 3000px; }
  p, ul, dl { max-width: 90ch; }
}
@media (max-width: 700px) {
  .toolbar > div { flex-wrap: nowrap; overflow-x: auto; white-space: nowrap; gap: 0.35rem 1.1rem; }
  .toolbar .legend { flex-wrap: nowrap; }
  .toolbar legend { margin-right: 0; }
}
@media (max-width: 480px) {
  .card { padding: 0.75rem; }
  .toolbar { font-size: 0.9rem; }
  table { font-size: 0.85rem; }
  th, td { padding: 0.3rem 0.35rem; }
  th:first-child { white-space: normal; }
  .cell { min-width: 0; padding: 0.3rem 0.35rem; }
  .range { display: block; font-size: 0.75rem; }
}
body:has(#ranking-none:checked) .ranking-cosine, body:has(#ranking-cosine:checked) .ranking-none { display: none; }
body:has(#by-slice:checked) .by-patient, body:has(#by-patient:checked) .by-slice { display: none; }
body:not(:has(#show-maps:checked)) .maps, body:has(#show-maps:checked) figure:has(.maps) .unmapped, body:has(#show-plain:checked) :is(.outlines, .labels) { display: none; }
body:has(#large:checked) :is(.lists, .slice, .films) { grid-template-columns: minmax(0, 1fr); }
body:has(#large:checked) .strip, body:has(#large:checked) .gallery { grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }
body:has(#large:checked) .slice > :first-child { position: static; }
body:has(#large:checked) .film text { font-size: 3.5px; stroke-width: 0.8px; }
body:has(#large:checked) .films { grid-template-columns: repeat(auto-fill, minmax(min(100%, 28rem), 1fr)); }
@media print {
  :root { color-scheme: light; --paper: #fff; --card: #fff; --ink: #000; --quiet: #444; --line: #bbb; --proponent: #0b7a75; --opponent: #a3327d; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  html { font-size: 8.5pt; }
  body { font-size: 1rem; }
  .warning, h1, h2 { margin-top: 0.5rem; }
  .toolbar { position: static; }
  .toolbar fieldset, .toolbar .switch { display: none; }
  details:not([open])::details-content { content-visibility: visible; display: block; }
  .region, figure, table, .lists { break-inside: avoid; }
  table { font-size: 0.92em; }
  th, td { white-space: normal; padding: 0.2rem 0.25rem; }
  th, td, h3, h4 { overflow-wrap: anywhere; }
  th, td { min-width: 4.2em; }
  .scroll { overflow: visible; }
  h2, h3, h4 { break-after: avoid; }
  .slice:has(> :nth-child(2)) { grid-template-columns: 5cm minmax(0, 1fr); }
  .slice > :first-child:not(:only-child) { position: static; }
  .skip, nav { display: none; }
  a { text-decoration: none; }
}
`;
}
