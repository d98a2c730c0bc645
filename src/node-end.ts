/** What was opened, in the order of opening; it is closed in reverse. */
export type Closer = () => Promise<void> | void

export async function closeAll(closers: Closer[]): Promise<void> {
  for (let close = closers.pop(); close !== undefined; close = closers.pop()) await close()
}

/** The first thing after which the node cannot go on. */
export class Failure {
  readonly happened: Promise<Error>
  #resolve: (error: Error) => void = () => {}

  constructor() {
    this.happened = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  readonly set = (error: Error): void => this.#resolve(error)
}
