import { contentType } from '../metrics/family.ts'
import { type MetricsPath, metricsPaths, metricsText } from '../metrics/metrics.ts'
import type { Answer } from './answer.ts'
import type { ApiRequest } from './request.ts'
import { type Api, type Route, route } from './route.ts'

/** Prometheus' metrics, for those who may monitor; also without `/api`, where scrapers look for them. */
export const metricsRoutes: readonly Route[] = metricsPaths.map((path) =>
  route('GET', path, (api, request) => page(api, request, path), { level: 'monitoring' }),
)

async function page(api: Api, { query }: ApiRequest, path: MetricsPath): Promise<Answer> {
  const headers = { 'content-type': contentType }
  return { status: 200, text: await metricsText(api, path, query), headers }
}
