/** How the options of who may come in fit together. Files are not read here. */
import type { Config } from './options.ts'

/** As sentences; empty when all is well. */
export function checkAccess(config: Config): readonly string[] {
  return [...tlsProblems(config)]
}

function* tlsProblems(config: Config): Generator<string> {
  const { tlsPort, httpsPort, tlsCertificate, tlsKey, tlsAuthority, tlsVerify } = config
  const port = tlsPort !== 'none' ? 'tls-port' : httpsPort !== 'none' ? 'https-port' : null
  if (port !== null && (tlsCertificate === 'none' || tlsKey === 'none')) {
    yield `${port} is set without a certificate; give tls-cert and tls-key, or ${port} = "none"`
  }
  if (tlsVerify !== 'none' && tlsAuthority === 'none') {
    yield `tls-verify = "${tlsVerify}" asks clients for certificates; give tls-ca, whose certificates they may show`
  }
}
