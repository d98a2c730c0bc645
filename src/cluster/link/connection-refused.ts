import { plainAddress } from '../../base/network.ts'

/**
 * Whether nothing listens at `address`: the connection was refused (`ECONNREFUSED`) by it, and nothing else came of the
 * try. A host name can stand for several addresses, of which some refuse and others do not answer; that is no refusal.
 * Where errors do not tell their address, as those of a network in memory, they are taken to be of the one that counts;
 * so are all when `address` is null.
 */
export function isRefusalBy(address: string | null, error: unknown): boolean {
  const errors: readonly unknown[] = error instanceof AggregateError ? error.errors : [error]
  return errors.every(isRefused) && errors.some((each) => address === null || isOf(address, each))
}

function isRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED'
}

function isOf(address: string, error: unknown): boolean {
  if (!(error instanceof Error) || !('address' in error)) return true
  return plainAddress(String(error.address)) === address
}
