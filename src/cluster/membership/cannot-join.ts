/** This process cannot be a node of the cluster as it was started. The message is a sentence that says what to mend. */
export class CannotJoin extends Error {
  readonly code = 'CANNOT_JOIN'
}
