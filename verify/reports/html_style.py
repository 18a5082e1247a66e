"""The style of the HTML report: one column on a phone, several where there is room; light or dark as the system is.

Every text has a contrast of at least 4.5 to its ground in both; what colour says, a word or a shape says too.
"""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --card: #f5f6f8; --line: #c9ced6; --text: #1b1f24; --soft: #565f6b;
  --link: #0b57b0; --pass: #17692f; --fail: #b3261e; --unclear: #805300; --one: #1f6fc4; --two: #c05a00; --bar: #4a7fb5;
  --shade: #0000001a; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --card: #1e2329; --line: #3d454f; --text: #e7eaee;
  --soft: #a5afbb; --link: #82b6ff; --pass: #6fd08c; --fail: #ff8f86; --unclear: #f0b94a; --one: #6db3ff;
  --two: #ffa45c;
  --bar: #5d97cf; --shade: #ffffff1f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--ground); color: var(--text);
  font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: .2rem 0 .6rem; } h2 { font-size: 1.2rem; margin: 1.6rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.1rem 0 .4rem; }
p { margin: .3rem 0; } a { color: var(--link); } .soft, figcaption, caption { color: var(--soft); font-size: .875rem; }
.skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.pass { color: var(--pass); } .fail { color: var(--fail); } .inconclusive { color: var(--unclear); }
.verdict { font-weight: 650; white-space: nowrap; }
.scroll { overflow-x: auto; margin-block: .4rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums;
  font-size: .875rem; } caption { text-align: left; padding: .2rem 0; white-space: nowrap; }
th, td { border-bottom: 1px solid var(--line);
  padding: .3rem .6rem .3rem 0; text-align: left; vertical-align: top; overflow-wrap: normal;
  white-space: nowrap; }
thead th { color: var(--soft);
  font-weight: 600; } tbody th { font-weight: 500; min-width: 6rem; max-width: 16rem;
  white-space: normal; overflow-wrap: anywhere; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .6rem 0; background: var(--card); }
details > :not(summary) { margin-left: .9rem; margin-right: .9rem; } details > :last-child { margin-bottom: .9rem; }
summary { cursor: pointer; padding: .6rem .9rem; border-radius: .5rem; } details details { background: var(--ground); }
ul { padding-left: 1.2rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: .9rem; }
.grid > *, figure { margin: 0; min-width: 0; }
figure svg { display: block; width: 100%; max-width: 30rem; height: auto; }
.bars { display: grid; gap: .5rem; margin: 0; padding: 0; list-style: none; }
.bars svg { display: block; width: 100%; height: .9rem; }
.bars .row { display: flex; justify-content: space-between; gap: 1rem; font-size: .875rem; }
.bars .row span:last-child { white-space: nowrap; font-variant-numeric: tabular-nums; }
svg text { fill: var(--text); font: 11px system-ui, sans-serif; stroke: var(--card); stroke-width: 3px;
  paint-order: stroke; } svg .soft { fill: var(--soft); font-size: 10px; }
svg .bar { fill: var(--bar); } svg .beyond { fill: var(--fail); } svg .track { fill: var(--shade); }
svg .axis { stroke: var(--line); } svg .mark { stroke: var(--text); stroke-dasharray: 3 2; }
svg .limit { stroke: var(--fail); }
svg .whisker { stroke: var(--text); stroke-width: 2; vector-effect: non-scaling-stroke; }
svg .path { fill: none; stroke: var(--bar); stroke-width: 1.5; }
svg .departs { fill: none; stroke: var(--fail); stroke-width: 2; }
.picture svg { border-radius: .3rem; background: #000; } .picture rect { fill: none; stroke-width: 1.6; }
.picture .under { stroke: #000; stroke-width: 3.4; opacity: .55; }
.picture .reference { stroke: #4fb0ff; } .picture .candidate { stroke: #ff9d3c; stroke-dasharray: 5 4; }
.picture .only { stroke: #ff4d8d; stroke-width: 3; } .picture .near { stroke: #ffe14d; stroke-width: 2.4; }
.picture svg text { fill: #fff; stroke: #000; stroke-width: 2.5px; paint-order: stroke; font-size: 10px; }
.picture:has(.show-reference:not(:checked)) .side-reference,
  .picture:has(.show-candidate:not(:checked)) .side-candidate,
.picture:has(.show-names:not(:checked)) svg text { display: none; }
label { display: inline-flex; align-items: center; gap: .35rem; margin-right: .9rem; min-height: 1.75rem;
  font-size: .875rem; }
input { width: 1.1rem; height: 1.1rem; accent-color: var(--link); }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: .15rem .9rem; font-size: .875rem; }
.store { position: absolute; width: 0; height: 0; }
.store { position: absolute; width: 0; height: 0; }
.store { position: absolute; width: 0; height: 0; }
.store { position: absolute; width: 0; height: 0; }
dt { color: var(--soft); } dd { margin: 0; } code { font-size: .85em; }
@media print { details > * { display: block; } .picture label { display: none; } }
"""
