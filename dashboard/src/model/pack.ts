/** Rows for boxes in time, so that none covers another. Knows no pixels. */

export interface Box {
  start: number;
  end: number;
  /** Set by the packing: the row of the box, 0 on top. */
  row: number;
}

export interface Nested<T extends Box> {
  box: T;
  children: Nested<T>[];
}

/** What starts this little before another's end still comes after it: epoch times keep 256 ns. */
const SLACK_NS = 512;

/** Give every box its row from `top` down, children below their parents; answers the first row left free. */
export function pack<T extends Box>(nodes: readonly Nested<T>[], top = 0): number {
  const rows = place(nodes);
  settle(nodes, top);
  return top + rows;
}

/** Rows counted from the parent's own, the deepest first, so that each subtree is packed once. */
function place<T extends Box>(nodes: readonly Nested<T>[]): number {
  /** When each row is free again. */
  const free: number[] = [];
  const blocks = nodes.map((node) => ({ node, ...extent(node), height: 1 + place(node.children) }));
  // Of those that came together the first to end stands on top, as in the queue they stood in.
  blocks.sort((a, b) => a.start - b.start || a.end - b.end);
  for (const { node, start, end, height } of blocks) {
    const row = firstFree(free, start + SLACK_NS, height);
    free.fill(end, row, row + height);
    while (free.length < row + height) free.push(end);
    node.box.row = row;
  }
  return free.length;
}

function settle<T extends Box>(nodes: readonly Nested<T>[], top: number): void {
  for (const node of nodes) {
    node.box.row += top;
    settle(node.children, node.box.row + 1);
  }
}

/** From when to when a box or anything below it lasts: children may outlive their parent. */
function extent<T extends Box>(node: Nested<T>): { start: number; end: number } {
  let { start, end } = node.box;
  for (const child of node.children) {
    const below = extent(child);
    start = Math.min(start, below.start);
    end = Math.max(end, below.end);
  }
  return { start, end };
}

function firstFree(free: readonly number[], start: number, height: number): number {
  let row = 0;
  for (let index = 0; index < free.length && index < row + height; index += 1) {
    if ((free[index] ?? 0) > start) row = index + 1;
  }
  return row;
}
