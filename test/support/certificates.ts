/** Certificates for tests of TLS, made by openssl in a folder of their own. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from './run-program.ts'

export interface Issued {
  readonly cert: string
  readonly key: string
  readonly certPath: string
  readonly keyPath: string
}

export interface IssueOptions {
  /** As openssl writes a subject: `/CN=anna`. */
  readonly subject: string
  /** As openssl writes alternative names: `DNS:localhost,IP:127.0.0.1`. */
  readonly names?: string
  /** Valid so many days from now; not at all when it is negative. */
  readonly days?: number
}

const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** One authority and what it has signed. */
export class TestAuthority {
  readonly folder: string
  #count = 0

  private constructor(folder: string) {
    this.folder = folder
  }

  static async make(name = 'test authority'): Promise<TestAuthority> {
    const authority = new TestAuthority(mkdtempSync(join(tmpdir(), 'warren-tls-')))
    const out = ['-keyout', 'ca.key', '-out', 'ca.pem', '-subj', `/CN=${name}`]
    await authority.#openssl('req', '-x509', ...key, '-days', '2', ...out)
    return authority
  }

  get certPath(): string {
    return join(this.folder, 'ca.pem')
  }

  get cert(): string {
    return readFileSync(this.certPath, 'utf8')
  }

  async issue({ subject, names, days = 2 }: IssueOptions): Promise<Issued> {
    const name = `issued-${++this.#count}`
    const [certPath, keyPath] = [join(this.folder, `${name}.pem`), join(this.folder, `${name}.key`)]
    const request = join(this.folder, `${name}.csr`)
    const extension = names === undefined ? [] : ['-addext', `subjectAltName=${names}`]
    await this.#openssl(
      'req',
      '-new',
      ...key,
      '-keyout',
      keyPath,
      '-out',
      request,
      '-utf8',
      '-subj',
      subject,
      ...extension,
    )
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-copy_extensions', 'copyall']
    await this.#openssl('x509', '-req', '-in', request, '-out', certPath, '-days', String(days), ...signed)
    return { cert: readFileSync(certPath, 'utf8'), key: readFileSync(keyPath, 'utf8'), certPath, keyPath }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  async #openssl(...args: string[]): Promise<void> {
    const { status, stderr } = await runProgram('openssl', args, { cwd: this.folder })
    if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`)
  }
}
