import { BackupRefused } from '../backup.ts'
import { type Answer, ApiError, badRequest } from './answer.ts'
import type { ApiRequest } from './request.ts'
import { type Api, type Route, route } from './route.ts'

/** All that is stored, as a tar archive. With hashes of passwords and all messages, so for administrators. */
export const backupRoutes: readonly Route[] = [route('GET', '/warren/backup', backup, { level: 'administrator' })]

function backup(api: Api, { caller }: ApiRequest): Answer {
  const { backup: node, cluster, logger } = api
  if (cluster !== null) throw badRequest(inCluster)
  if (node === null) throw badRequest('this node keeps everything in memory: there is nothing to back up')
  try {
    const bytes = node.begin()
    logger.info({ by: caller.username }, 'a backup is being taken')
    return { status: 200, bytes, headers: { 'content-type': 'application/x-tar' } }
  } catch (error) {
    if (error instanceof BackupRefused) throw new ApiError(503, 'service_unavailable', error.message)
    throw error
  }
}

const inCluster =
  'the messages of a cluster are in its NATS servers: take what exists by `warren definitions export`; for all of it stop ' +
  'the nodes and copy their data directories, or the stores of your own NATS servers'
