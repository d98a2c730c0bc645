/** A backup of the node as it is at one moment. */
export interface BackupNode {
  /** Begins one; throws `BackupRefused`. The parts are made as they are taken; where they end with an error, the archive is not whole. */
  begin(): AsyncIterable<Uint8Array>
}

/** A sentence that says what to do. */
export class BackupRefused extends Error {
  readonly code = 'BACKUP_REFUSED'
}
