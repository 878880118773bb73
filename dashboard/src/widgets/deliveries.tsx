/** Receivers with a test button, and every notification with its attempts. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ApiError, question, send } from "../api/client";
import type { Attempt, Delivery, ReceiverState } from "../api/types";
import { bothZones, clock, count, duration, plural } from "../model/format";
import { text } from "../text";
import { Icon } from "./icon";
import { linkTo, range, route } from "./location";
import { Rich } from "./rich";
import { Nothing, Shown } from "./states";
import { useLive } from "./use-live";
import { AgoText } from "./atoms";

const words = text.deliveries;

export function DeliveriesTab(): JSX.Element {
  const alert = route.value.params["alert"] ?? "";
  const asked = useLive(question("GET alerts/deliveries", { ...range.value, alert }), true);
  return (
    <>
      <Receivers onTested={asked.refresh} />
      <section>
        <h2>{words.messages}</h2>
        {alert !== "" && (
          <p>
            <a class="chip" href={linkTo("alerts", "", { tab: "deliveries" })}>{words.ofAlert}</a>
          </p>
        )}
        <Shown asked={asked} what={words.what}>
          {(data) => (data.deliveries.length === 0 ? <Nothing title={words.none} /> : <Messages deliveries={data.deliveries} />)}
        </Shown>
      </section>
    </>
  );
}

function Receivers({ onTested }: { onTested: () => void }): JSX.Element {
  const asked = useLive(question("GET alerts/receivers", {}), true);
  return (
    <section>
      <h2>{words.receivers}</h2>
      <Shown asked={asked} what={words.receivers}>
        {(data) =>
          data.receivers.length === 0 ? (
            <p class="muted">{words.noReceivers}</p>
          ) : (
            <div class="table-box">
              <table class="cards receivers">
                <caption class="sr-only">{words.receivers}</caption>
                <thead>
                  <tr>
                    <th scope="col">{words.columns.receiver}</th>
                    <th scope="col">{words.columns.to}</th>
                    <th scope="col">{words.columns.last}</th>
                    <th scope="col">{words.columns.problem}</th>
                    <th scope="col">{words.columns.test}</th>
                  </tr>
                </thead>
                <tbody>
                  {data.receivers.map((receiver) => (
                    <ReceiverRow key={receiver.name} receiver={receiver} onTested={onTested} />
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Shown>
    </section>
  );
}

function ReceiverRow({ receiver, onTested }: { receiver: ReceiverState; onTested: () => void }): JSX.Element {
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<{ good: boolean; said: string } | null>(null);
  const test = async (): Promise<void> => {
    setBusy(true);
    try {
      const { outcome, attempts } = await send("POST alerts/receivers/{name}/test", undefined, receiver.name);
      const said = words.tested(words.outcomes[outcome].toLowerCase(), attempts.at(-1)?.answer ?? "");
      setResult({ good: outcome === "delivered", said });
      onTested();
    } catch (error) {
      setResult({ good: false, said: error instanceof ApiError ? `${error.message} ${error.hint}` : String(error) });
    }
    setBusy(false);
  };
  return (
    <tr>
      <th scope="row">
        {receiver.name} <span class="tag">{receiver.type}</span>
      </th>
      <td class="wide wrap" data-label={words.columns.to}>
        <code>{receiver.target}</code>
        {receiver.pending > 0 && <span class="tag">{words.pending(count(receiver.pending))}</span>}
      </td>
      <td data-label={words.columns.last}>
        {receiver.last_delivered_at === "" ? <span class="muted">{words.never}</span> : <AgoText at={receiver.last_delivered_at} />}
      </td>
      <td class="wide wrap" data-label={words.columns.problem}>{receiver.error || receiver.last_error || "–"}</td>
      <td class="wide" data-label={words.columns.test}>
        <button type="button" disabled={busy} onClick={() => void test()}>{busy ? words.testing : words.test}</button>{" "}
        <span role="status">
          {result !== null && (
            <span class={`outcome outcome-${result.good ? "better" : "worse"}`}>
              <Icon name={result.good ? "good" : "bad"} /> {result.said}
            </span>
          )}
        </span>
      </td>
    </tr>
  );
}

function Messages({ deliveries }: { deliveries: readonly Delivery[] }): JSX.Element {
  return (
    <div class="table-box">
      <table class="cards messages">
        <caption class="sr-only">{words.messages}</caption>
        <thead>
          <tr>
            <th scope="col">{words.message.decided}</th>
            <th scope="col">{words.message.receiver}</th>
            <th scope="col">{words.message.outcome}</th>
            <th scope="col">{words.message.about}</th>
            <th scope="col">{words.message.attempts}</th>
          </tr>
        </thead>
        <tbody>
          {deliveries.map((delivery) => (
            <tr key={delivery.id}>
              <td class="nowrap" data-label={words.message.decided}>
                <AgoText at={delivery.decided_at} />
              </td>
              <th scope="row">{delivery.receiver}</th>
              <td data-label={words.message.outcome}>
                <span class={`outcome delivery-${delivery.outcome}`}>
                  <Icon name={delivery.outcome} /> {words.outcomes[delivery.outcome]}
                </span>
              </td>
              <td class="wide" data-label={words.message.about}>
                {words.about(delivery.firing.length, delivery.resolved.length)}
                <div class="muted small">{delivery.reason}</div>
                <div class="muted small wrap">{delivery.group_key}</div>
              </td>
              <td class="wide" data-label={words.message.attempts}>
                <Attempts delivery={delivery} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Attempts({ delivery }: { delivery: Delivery }): JSX.Element {
  return (
    <details open={delivery.outcome !== "delivered"}>
      <summary>{plural(delivery.attempts.length, ...text.nouns.attempt)}</summary>
      <ol class="attempts">
        {delivery.attempts.map((attempt) => (
          <li key={attempt.number}>
            <time title={bothZones(attempt.at_ns)}>{clock(attempt.at_ns)}</time> {attemptText(attempt)}
            {attempt.answer !== "" && <div class="small muted wrap">{attempt.answer}</div>}
          </li>
        ))}
      </ol>
      {delivery.next_attempt_at !== "" && (
        <div class="small muted">
          <Rich text={words.next} at={<AgoText at={delivery.next_attempt_at} />} />
        </div>
      )}
    </details>
  );
}

function attemptText({ number, status, took_ms: took }: Attempt): string {
  return words.attempt(number, status === 0 ? words.noAnswer : String(status), duration(took * 1e6));
}
