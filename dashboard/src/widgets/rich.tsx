/** Messages with embedded elements. */

import type { ComponentChildren, JSX } from "preact";

/** Text in which `backticks` mark code. */
export function Prose({ text }: { text: string }): JSX.Element {
  return <>{text.split("`").map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}</>;
}

/** A message with {placeholders} in braces. Values from spans are only ever inserted as text. */
export function Rich({ text, ...parts }: { text: string } & Record<string, ComponentChildren>): JSX.Element {
  return (
    <>
      {text.split(/\{(\w+)\}/u).map((part, index) => (index % 2 === 1 ? parts[part] : <Prose key={index} text={part} />))}
    </>
  );
}
