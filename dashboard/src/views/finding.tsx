/** One finding: what happens, where, who is affected, what to change. */

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { question } from "../api/client";
import type { Advice, FindingDetail, Holder } from "../api/types";
import { count, duration, momentNs, percent } from "../model/format";
import { roleName, wordsOf } from "../model/kinds";
import { frameOf } from "../model/stack";
import { othersAffected } from "../model/victims";
import { text } from "../text";
import { Distribution } from "../widgets/bars";
import { Chart, type Marker } from "../widgets/chart";
import { copyText } from "../widgets/copy-link";
import { ByRelease, ByRoute, ByVictim, Evidence } from "../widgets/finding-parts";
import { Decisions, StateBox } from "../widgets/finding-state";
import { linkTo, range, route } from "../widgets/location";
import { Prose, Rich } from "../widgets/rich";
import { Source } from "../widgets/source";
import { Shown } from "../widgets/states";
import { useLive } from "../widgets/use-live";
import { AgoText, CallSiteText, Cut, KindBadge, Meter, TraceLink } from "../widgets/atoms";

const say = text.finding;

export function Finding(): JSX.Element {
  const { id } = route.value;
  const asked = useLive(question("GET findings/{finding_id}", range.value, id), false);
  return (
    <>
      <p class="crumbs">
        <a href={linkTo("findings")}>{text.nav.findings}</a>
      </p>
      <Shown asked={asked} what={say.what}>
        {(finding) => <Detail finding={finding} onChange={asked.refresh} />}
      </Shown>
    </>
  );
}

function Detail({ finding, onChange }: { finding: FindingDetail; onChange: () => void }): JSX.Element {
  const words = wordsOf(finding.kind);
  return (
    <article class="finding">
      <header>
        <p class="what-head">
          <KindBadge kind={finding.kind} />
          <span class="muted">{finding.service}</span>
          <span class="muted">{environmentsText(finding.environments)}</span>
          {finding.ongoing > 0 && <span class="ongoing">{say.goingOn(count(finding.ongoing))}</span>}
        </p>
        <h1>
          <Prose text={finding.summary} />
        </h1>
        <p class="call-site">
          <CallSiteText site={finding.call_site} />
          <CopyButton value={placeText(finding)} />
        </p>
        <About finding={finding} />
        <p class="muted small">
          {words.meaning}{" "}
          <Rich text={say.seen} first={<AgoText at={finding.first_seen} />} last={<AgoText at={finding.last_seen} />} />
        </p>
      </header>
      <StateBox id={finding.id} state={finding.state} onChange={onChange} />
      <Figures finding={finding} />
      <div class="columns">
        <div>
          <StallEvidence lines={finding.stall_evidence} />
          <Source source={finding.source} />
          <WhatToDo advice={finding.advice} />
          <Holders finding={finding} />
          <Chain chain={finding.chain} />
          <Stack finding={finding} />
          <Decisions decisions={finding.decisions} />
        </div>
        <div>
          <Evidence finding={finding} />
          <Series finding={finding} />
          <Spread finding={finding} />
          <ByRoute rows={finding.by_route} timed={finding.total_ns > 0} />
          <Cut shown={finding.by_route.length} total={finding.by_route_total} order="cost" />
          <ByVictim rows={finding.by_victim_route} />
          <Cut shown={finding.by_victim_route.length} total={finding.by_victim_route_total} order="cost" />
          <ByRelease rows={finding.by_release} />
          <Cut shown={finding.by_release.length} total={finding.by_release_total} order="newest" />
        </div>
      </div>
    </article>
  );
}

/** The application object, the exception's message, and the outcome. */
function About({ finding }: { finding: FindingDetail }): JSX.Element | null {
  const { user_object: object, library_site: library, holder_query: query, message, outcome } = finding;
  const rows: [string, string][] = [];
  if (object !== null) rows.push([say.objects[object.kind] ?? say.object, object.name]);
  if (library !== "") rows.push([say.library, library]);
  if (query !== "") rows.push([say.holderQuery, query]);
  if (message !== "") rows.push([say.message, message]);
  if (outcome !== null) rows.push([say.outcome, say.outcomeText(outcome.caught, outcome.status)]);
  if (rows.length === 0) return null;
  return (
    <dl class="about">
      {rows.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd><Prose text={value} /></dd>
        </div>
      ))}
    </dl>
  );
}

function environmentsText(names: readonly string[]): string {
  const named = names.filter((name) => name !== "");
  return named.length === 0 ? "" : say.environments(named.join(", "));
}

function placeText({ call_site: site }: FindingDetail): string {
  return site.line > 0 ? `${site.file}:${site.line}` : site.file;
}

function CopyButton({ value }: { value: string }): JSX.Element | null {
  if (value === "") return null;
  return (
    <button type="button" class="quiet" onClick={() => copyText(value, say.copied)} title={say.copyTitle(value)}>
      {say.copyPath}
    </button>
  );
}

function Figures({ finding }: { finding: FindingDetail }): JSX.Element {
  const words = wordsOf(finding.kind);
  const timed = finding.total_ns > 0;
  const { definitions } = text;
  const figures: [string, string, string?][] = [[words.many, count(finding.count), definitions.occurrences]];
  if (timed) {
    figures.push(
      [say.all(words.cost), duration(finding.total_ns)],
      [say.p50, duration(finding.p50_ns)],
      [say.p95, duration(finding.p95_ns)],
      [say.longest, duration(finding.max_ns)],
    );
  }
  figures.push([say.hurt, count(finding.victims.requests), definitions.affected_requests]);
  if (finding.victims.total_ns > 0) figures.push([say.lost, duration(finding.victims.total_ns), definitions.time_lost]);
  const others = othersAffected(finding.victims);
  if (others !== "") figures.push([say.othersHurt, others, definitions.affected_background]);
  if (finding.victims.background_ns > 0) figures.push([say.lost, duration(finding.victims.background_ns)]);
  return (
    <dl class="figures">
      {figures.map(([label, value, meaning]) => (
        <div key={label} title={meaning}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Why the loop was blocked and not starved. */
function StallEvidence({ lines }: { lines: readonly string[] }): JSX.Element | null {
  if (lines.length === 0) return null;
  return (
    <section>
      <h2>{say.stallEvidence}</h2>
      {lines.map((line) => (
        <p key={line}>
          <Prose text={line} />
        </p>
      ))}
    </section>
  );
}

function WhatToDo({ advice }: { advice: Advice }): JSX.Element {
  return (
    <section class="advice">
      <h2><Rich text={say.advice} title={<Prose text={advice.title} />} /></h2>
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
            {say.readMore(new URL(advice.link).host)}
          </a>
        </p>
      )}
    </section>
  );
}

/** The collector's limit. */
const HOLDERS_KEPT = 20;

function Holders({ finding }: { finding: FindingDetail }): JSX.Element | null {
  const { holders } = finding;
  if (holders.length === 0) return null;
  const sum = holders.reduce((total, holder) => total + holder.overlap_ns, 0);
  return (
    <section>
      <h2>{say.holders(roleName(finding.executor))}</h2>
      <div class="table-box">
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">{say.holder}</th>
              <th scope="col">{say.route}</th>
              <th scope="col" class="num">{say.madeWait}</th>
              <th scope="col" class="num">{say.times}</th>
              <th scope="col">{say.evidence}</th>
            </tr>
          </thead>
          <tbody>
            {holders.map((holder, index) => (
              <HolderRow key={index} holder={holder} share={holder.overlap_ns / Math.max(sum, 1)} />
            ))}
          </tbody>
        </table>
      </div>
      {holders.length >= HOLDERS_KEPT && <p class="muted small cut">{text.lists.most(count(holders.length))}</p>}
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
      <td data-label={say.route}>{holder.route || "–"}</td>
      <td class="num" data-label={say.madeWait}>
        {duration(holder.overlap_ns)} <small class="muted">{percent(share)}</small>
        <Meter share={share} level="cost" />
      </td>
      <td class="num" data-label={say.times}>{count(holder.count)}</td>
      <td data-label={say.evidence}>{holder.trace_id === "" ? "–" : <TraceLink id={holder.trace_id} />}</td>
    </tr>
  );
}

function Chain({ chain }: { chain: readonly string[] }): JSX.Element | null {
  if (chain.length === 0) return null;
  return (
    <section>
      <h2>{say.chain}</h2>
      <ol class="chain">
        {chain.map((link, index) => (
          <li key={index}>{link}</li>
        ))}
      </ol>
    </section>
  );
}

/** The application's frames; those of libraries are folded. */
function Stack({ finding }: { finding: FindingDetail }): JSX.Element | null {
  const [all, setAll] = useState(false);
  if (finding.stack.length === 0) return null;
  const frames = finding.stack.map((written) => frameOf(written, finding.call_site));
  const own = frames.filter(({ role }) => role !== "foreign");
  const shown = all || own.length === 0 ? frames : own;
  return (
    <section>
      <h2>{say.stack} <small class="muted">{say.stackNote}</small></h2>
      <ol class="stack" tabIndex={0}>
        {shown.map((frame, index) => (
          <li key={index} class={frame.role} title={frame.full}>
            {frame.role === "site" && <span class="sr-only">{say.callSite}</span>}
            {frame.text}
          </li>
        ))}
      </ol>
      {own.length > 0 && own.length < frames.length && (
        <button type="button" class="quiet" aria-pressed={all} onClick={() => setAll(!all)}>
          {all ? say.ownOnly : say.allFrames(frames.length)}
        </button>
      )}
    </section>
  );
}

function Spread({ finding }: { finding: FindingDetail }): JSX.Element | null {
  if (finding.distribution.length === 0 || finding.total_ns === 0) return null;
  return (
    <section>
      <h2>{say.distribution}</h2>
      <Distribution buckets={finding.distribution} />
    </section>
  );
}

/** When each version was first seen. */
function markersOf({ by_release: releases }: FindingDetail): Marker[] {
  return releases.flatMap(({ version, first_seen: seen }) => {
    const ns = momentNs(seen);
    return version === "" || ns === null ? [] : [{ time: ns / 1e9, label: version }];
  });
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
  const markers = useMemo(() => markersOf(finding), [finding]);
  if (finding.series.length === 0) return null;
  const format = timed ? duration : count;
  return (
    <section>
      <h2>{say.series}</h2>
      <Chart title={timed ? say.time(words.cost) : words.many} times={times} values={values}
        format={format} colour={timed ? "stall" : "refusal"} least={timed ? 1e6 : 4} bars
        markers={markers} />
    </section>
  );
}
