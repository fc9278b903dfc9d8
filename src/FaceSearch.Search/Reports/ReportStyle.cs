namespace FaceSearch.Search;

static class ReportStyle
{
    public const string Css =
        """
        body { max-width: 58rem; margin: 0 auto; padding: 1rem 1rem 4rem; color: #1f2937; background: #fff;
               font: 16px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
        h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 .3rem; }
        h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: .6rem; border-top: 1px solid #e5e7eb; }
        h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
        .lead { font-size: 1.1rem; }
        .quiet, figcaption { color: #4b5563; font-size: .88rem; }
        .scroll { overflow-x: auto; margin: .6rem 0; }
        table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
        th, td { text-align: left; vertical-align: top; padding: .22rem .7rem .22rem 0; border-bottom: 1px solid #eef0f3; }
        th { font-weight: 600; vertical-align: bottom; border-bottom-color: #9ca3af; }
        td.figure { text-align: right; white-space: nowrap; }
        .tiles { display: flex; flex-wrap: wrap; gap: .7rem; margin: 1rem 0; }
        .tile { flex: 1 1 7.5rem; padding: .6rem .9rem; background: #f3f6fa; border-radius: .4rem; }
        .tile b { display: block; font-size: 1.25rem; white-space: nowrap; font-variant-numeric: tabular-nums; }
        .tile span { color: #4b5563; font-size: .85rem; }
        .design { font-size: .8rem; min-width: 22rem; display: inline-block; }
        figure { margin: .8rem 0; }
        figure .scroll { margin: .2rem 0; }
        .meaning { display: inline-block; min-width: 14rem; }
        .verdict { white-space: nowrap; }
        figure .scroll > svg { width: 100%; min-width: 34rem; height: auto; display: block; }
        .small { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .4rem 1rem; }
        .small figure { margin: 0; display: flex; flex-direction: column-reverse; justify-content: flex-end; }
        .small figure .scroll > svg { min-width: 0; }
        svg .text { font-size: 12px; fill: #4b5563; }
        .key:empty { display: none; }
        .key { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; font-size: .85rem; margin: .1rem 0 .4rem; }
        pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f3f6fa; padding: .7rem .9rem; border-radius: .4rem; font-size: .85rem; }
        details > summary { cursor: pointer; }
        details .scroll { max-height: 34rem; overflow: auto; }
        details th { position: sticky; top: 0; background: #fff; }
        @media print { body { max-width: none; padding: 0; font-size: 11pt; } h2 { break-after: avoid; }
            figure, tr, .tile { break-inside: avoid; } .scroll, details .scroll { overflow: visible; max-height: none; } .design, .meaning { min-width: 0; } table { font-size: 8pt; } }
        """;
}
