/** How the page of the API looks: by day and by night, on a desk, on a telephone and on paper. */

export const referenceStyle = `
:root { color-scheme: light dark; --ink: light-dark(#1c2024, #e6e8ea); --soft: light-dark(#5b6570, #9aa4ae);
  --paper: light-dark(#fff, #15181b); --panel: light-dark(#f5f6f7, #1d2125); --line: light-dark(#dfe3e6, #30363b);
  --link: light-dark(#0b57b7, #7fb4ff); --get: light-dark(#0a6b3d, #5fd39a); --post: light-dark(#0b57b7, #7fb4ff);
  --change: light-dark(#8a5300, #f0b866); --delete: light-dark(#b3261e, #ff9a92) }
* { box-sizing: border-box }
html { scroll-padding-top: 1rem }
body { margin: 0; display: grid; grid-template-columns: 19rem minmax(0, 1fr); color: var(--ink);
  background: var(--paper); font: 15px/1.55 system-ui, sans-serif }
a { color: var(--link); text-decoration: none } a:hover, a:focus-visible { text-decoration: underline }
code, pre, .method { font-family: ui-monospace, 'SF Mono', Menlo, Consolas, monospace; font-size: .92em }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1rem 1rem 3rem;
  background: var(--panel); border-right: 1px solid var(--line) }
nav .title { margin: 0 0 1rem; font-weight: 650; font-size: 1.05rem }
nav h2 { margin: 1.1rem 0 .3rem; font-size: .78rem; letter-spacing: .06em; text-transform: uppercase;
  color: var(--soft) }
nav h2 a { color: inherit }
nav ul { list-style: none; margin: 0; padding: 0 }
nav li a { display: flex; gap: .5rem; align-items: baseline; padding: .12rem 0; color: var(--ink) }
nav li span { overflow-wrap: anywhere; font-size: .9rem }
nav .method { flex: 0 0 3.4rem; font-size: .68rem; text-align: right }
main { padding: 2rem clamp(1rem, 4vw, 4rem) 6rem; max-width: 68rem }
h1 { margin: 0 0 .5rem; font-size: 1.7rem; letter-spacing: -.01em }
section > h2 { margin: 3rem 0 1rem; padding-bottom: .3rem; border-bottom: 2px solid var(--line); font-size: 1.3rem }
article { margin: 0 0 1.5rem; padding: 1rem 1.25rem; border: 1px solid var(--line); border-radius: 8px }
article:target { border-color: var(--link); box-shadow: 0 0 0 1px var(--link) }
h3 { margin: 0; font-size: 1.02rem; overflow-wrap: anywhere }
h4 { margin: 1.1rem 0 .4rem; font-size: .85rem; color: var(--soft) }
p { margin: .4rem 0 } .summary { font-size: 1.02rem }
.method { font-weight: 700; color: var(--post) } .get { color: var(--get) } .delete { color: var(--delete) }
.patch, .put { color: var(--change) }
table { width: 100%; border-collapse: collapse; font-size: .93em }
td { padding: .35rem .6rem .35rem 0; border-top: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere }
td:first-child { width: 13rem } td table td:first-child { width: 9rem }
small { display: inline-block; margin-left: .4rem; color: var(--soft); font-size: .85em }
.type { color: var(--soft) } .choices { margin: 0; padding-left: 1.1rem }
details { margin-top: .5rem } summary { cursor: pointer; color: var(--link); font-size: .9em }
pre { margin: .4rem 0 0; padding: .8rem 1rem; overflow-x: auto; background: var(--panel); border-radius: 6px }
.problems { margin-top: .9rem; color: var(--soft); font-size: .9em }
@media (max-width: 50rem) {
  body { display: block } nav { position: static; height: auto; border: 0; border-bottom: 1px solid var(--line) }
  td:first-child, td table td:first-child { width: auto; padding-right: 1rem }
}
@media print { nav { display: none } body { display: block } details::details-content { content-visibility: visible } }
`
