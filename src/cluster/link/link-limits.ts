/** Every bound of the links between nodes, with its unit and what happens when it is reached. */
export interface LinkLimits {
  /** From accept, or from the first try to connect, to the end of the handshake, in milliseconds. Then the socket is closed. */
  readonly handshakeMsMax: number
  /** Accepted sockets in the handshake, in total and from one address. A further one is closed. */
  readonly handshakesMax: number
  readonly handshakesPerAddressMax: number

  /** How often a link shows that it is alive, unless something waits to be written anyway, in milliseconds. */
  readonly heartbeatMs: number
  /** Silence of the peer, in milliseconds, counted in heartbeats of our own. Then the link is down. */
  readonly silenceMsMax: number
  /** How long a peer may take nothing of what we write, in milliseconds. Then the link is down. */
  readonly stuckMsMax: number

  /** Output that waits, in bytes: above, `isCongested`; below `drainedBytes` again, `drained`. */
  readonly congestedBytes: number
  readonly drainedBytes: number
  /** Output of one link that waits all the same, because services do not heed `isCongested`, in bytes. Then the link is down. */
  readonly waitingBytesMax: number
  /** How long one link may work on input before others have their turn, in milliseconds (in bytes: `readBytesMax`). */
  readonly turnMsMax: number

  /** The first try to reach a member after a link is down, and the longest pause between tries, in milliseconds. */
  readonly redialMsMin: number
  readonly redialMsMax: number
  /** Between two looks at whether a member's address leads to it, while its link is up, in milliseconds at most. */
  readonly verifyMsMax: number
  /** Between the two refusals that prove a process gone, in milliseconds. */
  readonly refusedAgainMs: number
  /** How long other nodes may take to say whether they are linked to who refuses, in milliseconds. */
  readonly witnessMsMax: number

  /** What waits when the links are closed has so long to go out, in milliseconds. */
  readonly closeMsMax: number
}

export const defaultLinkLimits: LinkLimits = Object.freeze({
  handshakeMsMax: 5_000,
  handshakesMax: 64,
  handshakesPerAddressMax: 16,
  heartbeatMs: 1_000,
  silenceMsMax: 5_000,
  stuckMsMax: 10_000,
  congestedBytes: 4 * 1024 * 1024,
  drainedBytes: 2 * 1024 * 1024,
  waitingBytesMax: 128 * 1024 * 1024,
  turnMsMax: 2,
  redialMsMin: 50,
  redialMsMax: 1_000,
  verifyMsMax: 60_000,
  refusedAgainMs: 100,
  witnessMsMax: 500,
  closeMsMax: 1_000,
})
