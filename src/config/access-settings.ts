/** How the options of who may come in fit together. Files are not read here. */
import { isLoopbackHost } from './cluster-settings.ts'
import { readLogLevels } from './log-settings.ts'
import type { Config } from './options.ts'
import { readAllowedTargets } from './webhook-settings.ts'

/** As sentences; empty when all is well. */
export function checkAccess(config: Config): readonly string[] {
  const access = [...portProblems(config), ...tlsProblems(config), ...tokenProblems(config)]
  return [...access, ...logProblems(config), ...webhookProblems(config)]
}

function* portProblems({ port, tlsPort, httpPort, httpsPort }: Config): Generator<string> {
  if ([port, tlsPort, httpPort, httpsPort].some((one) => one !== 'none')) return
  yield 'nobody could connect: port, tls-port, http-port and https-port are all "none"; give one of them a number'
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

function* tokenProblems({ oauthIssuer, oauthAudience, oauthKeysUrl, oauthKeyFile }: Config): Generator<string> {
  const given = [oauthIssuer, oauthAudience, oauthKeysUrl, oauthKeyFile].filter((value) => value !== 'none')
  if (given.length === 0) return
  if (oauthIssuer === 'none')
    yield 'oauth-issuer is missing; give the issuer that tokens must name, or no oauth- option'
  if (oauthAudience === 'none') yield 'oauth-audience is missing; give what tokens must be made for, such as "warren"'
  if ((oauthKeysUrl === 'none') === (oauthKeyFile === 'none')) {
    yield 'give one of oauth-jwks-url and oauth-key-file, where the keys are that tokens are checked with'
  }
  if (oauthKeysUrl !== 'none' && !isSafe(oauthKeysUrl)) {
    yield 'oauth-jwks-url has to begin with https: (http: for this machine only); who can change the keys can log in as anybody'
  }
}

function isSafe(address: string): boolean {
  const url = URL.canParse(address) ? new URL(address) : null
  return (
    url?.protocol === 'https:' ||
    (url?.protocol === 'http:' && isLoopbackHost(url.hostname.replace(/^\[(.*)\]$/, '$1')))
  )
}

function* webhookProblems({ webhookAllow }: Config): Generator<string> {
  try {
    readAllowedTargets(webhookAllow)
  } catch (error) {
    yield error instanceof Error ? error.message : String(error)
  }
}

function* logProblems({ logLevels }: Config): Generator<string> {
  try {
    readLogLevels(logLevels)
  } catch (error) {
    yield error instanceof Error ? error.message : String(error)
  }
}
