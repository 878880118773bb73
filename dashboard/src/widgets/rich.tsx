/** Sentences of the messages with something in them. */

import type { ComponentChildren, JSX } from "preact";

/** Text in which `ticks` mark code. */
export function Prose({ text }: { text: string }): JSX.Element {
  return <>{text.split("`").map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}</>;
}

/** A message whose {names} in braces are places to fill. What a span says is only ever filled in. */
export function Rich({ text, ...parts }: { text: string } & Record<string, ComponentChildren>): JSX.Element {
  return (
    <>
      {text.split(/\{(\w+)\}/u).map((part, index) => (index % 2 === 1 ? parts[part] : <Prose key={index} text={part} />))}
    </>
  );
}
