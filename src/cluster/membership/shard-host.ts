/**
 * What one node does for one shard: nothing, follow its log as a standby, or serve it. `Ownership` decides which, and
 * calls; the host never changes its mind alone, it only reports that it cannot go on (`ShardHostListener`).
 *
 * The calls of one host never overlap: `open` and `close` are waited for. `abandon` alone may come at any moment.
 */
export interface ShardHost {
  /** `topology`, or the name of a data shard. */
  readonly shard: string
  /** Keep a copy level with the shard's log, so that `open` has little to read. Told once; also before most `open`s. */
  follow(): void
  /** This node is no longer a candidate: the copy may go. Not while open. */
  unfollow(): void
  /**
   * Serves the shard, under an epoch that no other opening of it, here or elsewhere, was given. Resolves when commands
   * are answered. Rejects when it cannot, with `LeaseBehind` when the log has had that epoch, and has then let go of
   * everything as after `abandon`; it is tried again later with a higher epoch. When `signal` is aborted it should reject soon.
   */
  open(leaseEpoch: number, signal: AbortSignal): Promise<void>
  /**
   * Planned: answers what is under way, then stops; when it resolves another node may serve. Rejects when that fails, and
   * has then let go as after `abandon`.
   */
  close(): Promise<void>
  /** At once: nothing may be delivered, confirmed or answered any more. Also ends an `open` or `close` that is under way. */
  abandon(): void
  /** The own session has not been renewed for half of its length: deliver and answer nothing until `resume`. */
  hold(): void
  resume(): void
}

/**
 * The log knows an epoch that is not below that of the lease, which therefore was set back. The log is right: what is served
 * under one epoch by two owners could be taken for the work of one.
 */
export class LeaseBehind extends Error {
  readonly code = 'LEASE_BEHIND'
  /** That of the log. */
  readonly epoch: number

  constructor(shard: string, leaseEpoch: number, epoch: number) {
    super(`the lease of shard '${shard}' has epoch ${leaseEpoch}, but its log has come to ${epoch}`)
    this.epoch = epoch
  }
}

/** Why a host that was open cannot go on: its log has an owner with a higher epoch, or failed (disk, damage). */
export type HostLoss = 'deposed' | 'failed'

export interface ShardHostListener {
  /** The host has let go of everything, as after `abandon`. `reason` is a sentence for the log. */
  hostLost(shard: string, loss: HostLoss, reason: string): void
}
