/** One problem: what happens, where, who suffers, what to do. */

import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { apiUrl } from "../api/client";
import type { Advice, FindingDetail, Holder } from "../api/types";
import { count, duration, percent, plural } from "../model/format";
import { roleName, wordsOf } from "../model/kinds";
import { frameOf } from "../model/stack";
import { Chart } from "../widgets/chart";
import { linkTo, route, since } from "../widgets/location";
import { Shown } from "../widgets/states";
import { useLive } from "../widgets/use-live";
import { AgoText, CallSiteText, KindBadge, Meter, Prose, TraceLink } from "../widgets/words";

export function Finding(): JSX.Element {
  const { id } = route.value;
  const asked = useLive<FindingDetail>(apiUrl(`findings/${encodeURIComponent(id)}`, { since: since.value }), false);
  return (
    <>
      <p class="crumbs">
        <a href={linkTo("findings")}>Findings</a>
      </p>
      <Shown asked={asked} what="the finding">
        {(finding) => <Detail finding={finding} />}
      </Shown>
    </>
  );
}

function Detail({ finding }: { finding: FindingDetail }): JSX.Element {
  const words = wordsOf(finding.kind);
  return (
    <article class="finding">
      <header>
        <p class="what-head">
          <KindBadge kind={finding.kind} />
          <span class="muted">{finding.service}</span>
          {finding.ongoing > 0 && <span class="ongoing">{count(finding.ongoing)} going on now</span>}
        </p>
        <h1>
          <Prose text={finding.summary} />
        </h1>
        <p class="call-site">
          <CallSiteText site={finding.call_site} />
          <CopyButton text={placeText(finding)} />
        </p>
        <p class="muted small">
          {words.meaning} First seen <AgoText at={finding.first_seen} />, last <AgoText at={finding.last_seen} />.
        </p>
      </header>
      <Figures finding={finding} />
      <div class="columns">
        <div>
          <WhatToDo advice={finding.advice} />
          <Holders finding={finding} />
          <Chain chain={finding.chain} />
          <Stack finding={finding} />
        </div>
        <div>
          <Evidence finding={finding} />
          <Routes routes={finding.routes} />
          <Series finding={finding} />
        </div>
      </div>
    </article>
  );
}

function placeText({ call_site: site }: FindingDetail): string {
  return site.line > 0 ? `${site.file}:${site.line}` : site.file;
}

function CopyButton({ text }: { text: string }): JSX.Element | null {
  // Only where the browser offers it: not on plain HTTP from another machine.
  if (!("clipboard" in navigator) || text === "") return null;
  const copy = (): void => {
    navigator.clipboard.writeText(text).catch((error: unknown) => console.warn("Copying was not allowed.", error));
  };
  return (
    <button type="button" class="quiet" onClick={copy} title={`Copy ${text}`}>
      Copy path
    </button>
  );
}

function Figures({ finding }: { finding: FindingDetail }): JSX.Element {
  const words = wordsOf(finding.kind);
  const timed = finding.total_ns > 0;
  const figures: [string, string][] = [[words.many, count(finding.count)]];
  if (timed) {
    figures.push(
      [`${words.cost} in all`, duration(finding.total_ns)],
      ["p50", duration(finding.p50_ns)],
      ["p95", duration(finding.p95_ns)],
      ["longest", duration(finding.max_ns)],
    );
  }
  figures.push(["requests hurt", count(finding.victims.requests)]);
  if (finding.victims.total_ns > 0) figures.push(["they lost", duration(finding.victims.total_ns)]);
  return (
    <dl class="figures">
      {figures.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function WhatToDo({ advice }: { advice: Advice }): JSX.Element {
  return (
    <section class="advice">
      <h2>What to do: <Prose text={advice.title} /></h2>
      <p>
        <Prose text={advice.reason} />
      </p>
      <ol>
        {advice.steps.map((step) => (
          <li key={step}>
            <Prose text={step} />
          </li>
        ))}
      </ol>
      {advice.code !== "" && <pre tabIndex={0}>{advice.code}</pre>}
      {/^https?:\/\//u.test(advice.link) && (
        <p>
          <a href={advice.link} target="_blank" rel="noopener noreferrer">
            Read more at {new URL(advice.link).host}
          </a>
        </p>
      )}
    </section>
  );
}

function Holders({ finding }: { finding: FindingDetail }): JSX.Element | null {
  const { holders } = finding;
  if (holders.length === 0) return null;
  const sum = holders.reduce((total, holder) => total + holder.overlap_ns, 0);
  return (
    <section>
      <h2>Who held the {roleName(finding.executor)}</h2>
      <div class="table-box">
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">Holder</th>
              <th scope="col">Route</th>
              <th scope="col" class="num">Made others wait</th>
              <th scope="col" class="num">Times</th>
              <th scope="col">Evidence</th>
            </tr>
          </thead>
          <tbody>
            {holders.map((holder, index) => (
              <HolderRow key={index} holder={holder} share={holder.overlap_ns / Math.max(sum, 1)} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function HolderRow({ holder, share }: { holder: Holder; share: number }): JSX.Element {
  return (
    <tr>
      <th scope="row" class="what">
        <code>{holder.function}</code>
        <div class="small">
          <CallSiteText site={holder.call_site} />
        </div>
      </th>
      <td data-label="Route">{holder.route || "–"}</td>
      <td class="num" data-label="Made others wait">
        {duration(holder.overlap_ns)} <small class="muted">{percent(share)}</small>
        <Meter share={share} level="cost" />
      </td>
      <td class="num" data-label="Times">{count(holder.count)}</td>
      <td data-label="Evidence">{holder.trace_id === "" ? "–" : <TraceLink id={holder.trace_id} />}</td>
    </tr>
  );
}

function Chain({ chain }: { chain: readonly string[] }): JSX.Element | null {
  if (chain.length === 0) return null;
  return (
    <section>
      <h2>What led there</h2>
      <ol class="chain">
        {chain.map((link, index) => (
          <li key={index}>{link}</li>
        ))}
      </ol>
    </section>
  );
}

function Stack({ finding }: { finding: FindingDetail }): JSX.Element | null {
  if (finding.stack.length === 0) return null;
  const frames = finding.stack.map((text) => frameOf(text, finding.call_site));
  return (
    <section>
      <h2>Stack <small class="muted">innermost last, the application's own frames marked</small></h2>
      <ol class="stack" tabIndex={0}>
        {frames.map((frame, index) => (
          <li key={index} class={frame.role} title={frame.full}>
            {frame.role === "site" && <span class="sr-only">call site: </span>}
            {frame.text}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Evidence({ finding }: { finding: FindingDetail }): JSX.Element {
  return (
    <section>
      <h2>Evidence</h2>
      {finding.trace_ids.length === 0 ? (
        <p class="muted">No trace of it was kept.</p>
      ) : (
        <ul class="targets">
          {finding.trace_ids.map((id, index) => (
            <li key={id}>
              <TraceLink id={id}>
                Trace <code>{id.slice(0, 8)}</code>
              </TraceLink>
              {index === 0 && <span class="muted"> the costliest</span>}
            </li>
          ))}
        </ul>
      )}
      <p>
        <a href={linkTo("traces", "", { finding: finding.id })}>All traces with it</a>
      </p>
    </section>
  );
}

function Routes({ routes }: { routes: readonly string[] }): JSX.Element | null {
  const named = routes.filter((name) => name !== "");
  if (named.length === 0) return null;
  return (
    <section>
      <h2>{plural(named.length, "route")}</h2>
      <ul class="targets">
        {named.map((name) => (
          <li key={name}>
            <a href={linkTo("findings", "", { route: name })} title="Findings of this route">
              {name}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Series({ finding }: { finding: FindingDetail }): JSX.Element | null {
  const words = wordsOf(finding.kind);
  const timed = finding.total_ns > 0;
  const [times, values] = useMemo(
    () => [
      finding.series.map((point) => point.time_ns / 1e9),
      finding.series.map((point) => (timed ? point.total_ns : point.count)),
    ],
    [finding.series, timed],
  );
  if (finding.series.length === 0) return null;
  const format = timed ? duration : count;
  return (
    <section>
      <h2>Over time</h2>
      <Chart title={timed ? `Time ${words.cost}` : words.many} times={times} values={values}
        format={format} colour={timed ? "stall" : "refusal"} least={timed ? 1e6 : 4} bars />
    </section>
  );
}
