/** Names of hosts to addresses, as the machine has them. */
import { lookup } from 'node:dns'

export interface Resolver {
  /** Numeric addresses, in the order in which they are to be tried. Rejects with the system's error (`ENOTFOUND`, …). */
  resolve(host: string): Promise<readonly string[]>
}

export class SystemResolver implements Resolver {
  resolve(host: string): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      lookup(host, { all: true, verbatim: true }, (error, found) => {
        if (error === null) resolve(found.map(({ address }) => address))
        else reject(error)
      })
    })
  }
}
