import type { ResidenceListener } from './queue/residences.ts'
import type { StreamSpanListener } from './stream/stream-tracing.ts'

/** Who follows traced messages through queues and streams. */
export interface TraceListener extends ResidenceListener, StreamSpanListener {}
