/** Which page is shown where. */
import type { ComponentChildren, JSX } from 'preact'
import { t } from './core/language.ts'
import { place } from './core/route.ts'
import { user } from './core/session.ts'
import { vhost } from './core/vhost.ts'
import { Cluster } from './pages/cluster.tsx'
import { Channels, Connection, Connections } from './pages/connections.tsx'
import { DeadLetters } from './pages/dead-letters.tsx'
import { Definitions } from './pages/definitions.tsx'
import { Exchange, Exchanges } from './pages/exchanges.tsx'
import { Overview } from './pages/overview.tsx'
import { Parameters } from './pages/parameters.tsx'
import { Policies } from './pages/policies.tsx'
import { Queue } from './pages/queue.tsx'
import { Queues } from './pages/queues.tsx'
import { Scheduled } from './pages/scheduled.tsx'
import { Streams } from './pages/streams.tsx'
import { OneUser, Users } from './pages/users.tsx'
import { Vhost, Vhosts } from './pages/vhosts.tsx'
import { Head } from './parts/card.tsx'
import { Questions } from './parts/dialog.tsx'
import { Login } from './parts/login.tsx'
import { Shell } from './parts/shell.tsx'

export function App(): JSX.Element {
  if (user.value === null) return <Login />
  const { names } = place.value
  // Another place is another page: nothing of the one before is kept, nor of another vhost.
  const key = JSON.stringify([names, vhost.value])
  return (
    <Shell>
      <div class="page" key={key}>
        {pageOf(names)}
      </div>
      <Questions />
    </Shell>
  )
}

function pageOf([page, first = '', second = '']: readonly string[]): ComponentChildren {
  switch (page) {
    case '':
      return <Overview />
    case 'queues':
      return <Queues />
    case 'queue':
      return <Queue home={first} name={second} />
    case 'exchanges':
      return <Exchanges />
    case 'exchange':
      return <Exchange home={first} name={second} />
    case 'connections':
      return <Connections />
    case 'connection':
      return <Connection name={first} />
    case 'channels':
      return <Channels />
    case 'streams':
      return <Streams />
    case 'scheduled':
      return <Scheduled home={first} name={second} />
    case 'dead-letters':
      return <DeadLetters home={first} name={second} />
    case 'policies':
      return <Policies />
    case 'parameters':
      return <Parameters />
    case 'users':
      return <Users />
    case 'user':
      return <OneUser name={first} />
    case 'vhosts':
      return <Vhosts />
    case 'vhost':
      return <Vhost name={first} />
    case 'definitions':
      return <Definitions />
    case 'cluster':
      return <Cluster />
    default:
      return <Head title={t('noPage')} plain={t('noPage')} />
  }
}
