/** The vhost whose things the lists show; null: all that the user may see. */

import { path } from './api.ts'
import { signal } from './signal.ts'

export const vhost = signal<string | null>(null)

/** `/queues` or `/queues/{vhost}`. */
export function listPath(list: string): string {
  return vhost.value === null ? list : `${list}${path(vhost.value)}`
}
