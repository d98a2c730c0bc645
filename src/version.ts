/** The version of this package, as package.json says it. */
import { createRequire } from 'node:module'

export const version: string = String(createRequire(import.meta.url)('warrenmq/package.json').version)
