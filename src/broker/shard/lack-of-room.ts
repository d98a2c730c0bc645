/** When a digest can wait: its segment is only not freed meanwhile. */

/** Pause before a digest that found no room is tried again, in milliseconds. */
export const digestRetryMs = 1_000
/** Codes of conditions that end by themselves or by somebody's hand, and that leave what is stored untouched. */
const lackOfRoom = new Set(['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE'])

export function isLackOfRoom(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : null
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' && lackOfRoom.has(cause.code)
}
