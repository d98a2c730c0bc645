/**
 * The dashboard: a few files that the build wrote (`scripts/build-ui.mjs`), read once, when somebody first asks, and then
 * answered from memory. A path is looked up in a table of their names and never becomes one of the file system.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

export interface DashboardFile {
  readonly type: string
  readonly plain: Uint8Array
  readonly gzip: Uint8Array
  /** Of the plain content, in quotes (RFC 9110 §8.8.3). */
  readonly entityTag: string
  /** Its name holds a hash of its content. */
  readonly isImmutable: boolean
}

/** By path, as `/` and `/assets/index-B4x.js`. */
export type DashboardFiles = ReadonlyMap<string, DashboardFile>

const types: ReadonlyMap<string, string> = new Map([
  ['html', 'text/html; charset=utf-8'],
  ['js', 'text/javascript; charset=utf-8'],
  ['css', 'text/css; charset=utf-8'],
  ['svg', 'image/svg+xml'],
])

/** Reads them. Empty where they were not built, or not installed. */
export async function readDashboard(folder: string = builtFolder()): Promise<DashboardFiles> {
  const files = new Map<string, DashboardFile>()
  const entries = await readdir(folder, { recursive: true }).catch(() => [])
  for (const entry of entries) {
    const type = types.get(entry.slice(entry.lastIndexOf('.') + 1))
    if (type === undefined) continue
    const path = join(folder, entry)
    const [plain, gzip] = await Promise.all([readFile(path), readFile(`${path}.gz`)])
    const name = entry.replaceAll('\\', '/')
    const entityTag = `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`
    const isImmutable = name.startsWith('assets/')
    files.set(name === 'index.html' ? '/' : `/${name}`, { type, plain, gzip, entityTag, isImmutable })
  }
  return files
}

/** Beside the compiled program, wherever of it this module has been bundled into. */
function builtFolder(): string {
  return join(dirname(createRequire(import.meta.url).resolve('warrenmq/package.json')), 'dist', 'ui')
}

/** Only what this port serves: no inline code, no other sites, no text taken for code, no frames. */
const policy = [
  "default-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const fixedHeaders = {
  'content-security-policy': policy,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  vary: 'accept-encoding',
} as const

const yearSeconds = 31_536_000

/** Answers GET and HEAD with one of them. */
export function sendFile(file: DashboardFile, request: IncomingMessage, response: ServerResponse): void {
  const { type, plain, gzip, entityTag, isImmutable } = file
  const headers = {
    ...fixedHeaders,
    etag: entityTag,
    'cache-control': isImmutable ? `public, max-age=${yearSeconds}, immutable` : 'no-cache',
  }
  if (request.headers['if-none-match'] === entityTag) {
    response.writeHead(304, headers)
    response.end()
    return
  }
  const isPacked = takesGzip(request.headers['accept-encoding'])
  const content = isPacked ? gzip : plain
  response.writeHead(200, {
    ...headers,
    ...(isPacked ? { 'content-encoding': 'gzip' } : {}),
    'content-type': type,
    'content-length': content.length,
  })
  response.end(request.method === 'HEAD' ? undefined : content)
}

/** `gzip;q=0` is a refusal (RFC 9110 §12.5.3). */
function takesGzip(accepted: string | string[] | undefined): boolean {
  return /(^|[\s,])gzip\s*(,|$|;\s*q=(1|0\.0*[1-9]))/i.test(String(accepted ?? ''))
}
