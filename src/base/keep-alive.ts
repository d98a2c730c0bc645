/** Something that the process waits for before it ends by itself, as it does for an open socket, until `release`. */
export class KeepAlive {
  #handle: NodeJS.Timeout | null = setInterval(() => {}, longestMs)

  release(): void {
    if (this.#handle !== null) clearInterval(this.#handle)
    this.#handle = null
  }
}

const longestMs = 2 ** 31 - 1
