#include "report/page_style.h"

namespace esparse {

const char* const kPageStyle = R"css(
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b2330;--soft:#5c6778;--rule:#dfe3ea;--grid:#e9ecf1;
--accent:#2563c9;--warm:#d9480f;--good:#1a7f4b;--faint:#eef1f5;
--c0:#2563c9;--c1:#1096a8;--c2:#5b5bd6;--c3:#d9480f;--c4:#1a7f4b;--c5:#b5548f;--c6:#a07400}
@media(prefers-color-scheme:dark){:root{--page:#12161d;--card:#1b212b;--ink:#e6eaf1;--soft:#98a4b5;--rule:#2d3644;
--grid:#262e3a;--accent:#6ea8fe;--warm:#ff8a4c;--good:#56c98d;--faint:#232b37;
--c0:#6ea8fe;--c1:#4fc9d8;--c2:#a5a5ff;--c3:#ff8a4c;--c4:#56c98d;--c5:#e58cc3;--c6:#d9b44a}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 20px 64px}
header{display:flex;flex-wrap:wrap;gap:8px 24px;align-items:baseline;justify-content:space-between}
h1{font-size:1.7rem;line-height:1.2;margin:0;letter-spacing:-.01em}
h2{font-size:1.2rem;margin:40px 0 6px}
h3{font-size:1rem;margin:0 0 6px}
p{margin:0 0 12px;max-width:74ch}
.lead,.soft,figcaption{color:var(--soft)}
.lead{margin:8px 0 20px}
a{color:var(--accent)}
.button{border:1px solid var(--rule);border-radius:8px;padding:6px 12px;text-decoration:none;font-size:.9rem;background:var(--card)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:0 0 8px}
.tile{background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:12px 16px}
.tile b{display:block;font-size:1.45rem;font-weight:600;letter-spacing:-.01em;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:.85rem}
.card{background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:16px;margin:0 0 16px;min-width:0}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:16px;margin:0 0 16px}
.pair .card{margin:0}
.wide{overflow-x:auto}
.wide svg{min-width:680px}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:6px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}
th{color:var(--soft);font-weight:500}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--card)}
tr:last-child td{border-bottom:0}
tr.first td{font-weight:600}
td.slow{color:var(--warm)}
figure{margin:0}
figcaption{font-size:.88rem;margin-top:8px}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--ink)}
svg .tick{fill:var(--soft);font-size:11.5px}
svg .axis{fill:var(--soft);font-size:12.5px}
svg .name{font-size:12px}
.grid{stroke:var(--grid)}.base{stroke:var(--rule)}
.front{fill:none;stroke:var(--accent);stroke-width:1.6;stroke-dasharray:5 4;stroke-opacity:.7}
.best{fill:var(--accent)}.beaten{fill:var(--soft);fill-opacity:.75}.reference{fill:var(--card);stroke:var(--ink);stroke-width:2}
.dot{fill:var(--accent);fill-opacity:.45}
.ring1{fill:none;stroke:var(--good);stroke-width:2.4}.ring2{fill:none;stroke:var(--warm);stroke-width:2.4}
.kept{fill:var(--accent)}.lost{fill:var(--warm)}.empty{fill:var(--faint)}
.group{stroke:var(--ink);stroke-width:1.4;stroke-opacity:.55}
.mark{stroke:var(--ink);stroke-width:1.6;stroke-opacity:.75}
.curve1,.curve2{fill:none;stroke-width:2.4}
.curve1{stroke:var(--accent)}.curve2{stroke:var(--warm)}
svg .legend1{fill:var(--accent);font-weight:600}svg .legend2{fill:var(--warm);font-weight:600}
.c0{fill:var(--c0)}.c1{fill:var(--c1)}.c2{fill:var(--c2)}.c3{fill:var(--c3)}.c4{fill:var(--c4)}.c5{fill:var(--c5)}.c6{fill:var(--c6)}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.88rem;color:var(--soft);margin:0 0 8px}
.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px}
dl{display:grid;grid-template-columns:minmax(110px,max-content) 1fr;gap:4px 20px;margin:0;font-size:.92rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
ul{margin:0;padding-left:20px}
@media(max-width:560px){main{padding:20px 12px 48px}h1{font-size:1.35rem}.card{padding:12px}svg text,svg .tick,svg .axis,svg .name{font-size:14px}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}}
@media print{body{background:#fff}.button{display:none}.card{break-inside:avoid}}
)css";

const char* const kPageScript = R"js(
const data = document.getElementById('report-data').textContent;
document.getElementById('download').href = URL.createObjectURL(new Blob([data], {type: 'application/json'}));
)js";

}  // namespace esparse
