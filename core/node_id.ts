/** Numbers for nodes: they grow with creation, so inputs have lower ones than their users. @module */

let nextId = 0;

/** The id that the next node will have. */
export function nextNodeId(): number {
  return nextId;
}

/** Takes the next id. */
export function takeNodeId(): number {
  return nextId++;
}
