import type { LoginOrigin } from '../commands.ts'

/** How often somebody has tried to log in since the node started, by what they came by. */
export class LoginAttempts {
  readonly #rows: Readonly<Record<LoginOrigin['via'], { succeeded: number; failed: number }>> = {
    amqp: { succeeded: 0, failed: 0 },
    http: { succeeded: 0, failed: 0 },
  }

  succeeded({ via }: LoginOrigin): void {
    this.#rows[via].succeeded++
  }

  /** Also when no proof was looked at, because there had been too many. */
  failed({ via }: LoginOrigin): void {
    this.#rows[via].failed++
  }

  get rows(): LoginAttemptRows {
    return this.#rows
  }
}

export type LoginAttemptRows = Readonly<
  Record<LoginOrigin['via'], { readonly succeeded: number; readonly failed: number }>
>
