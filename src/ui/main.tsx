/** The dashboard: a page that speaks with the HTTP API of the broker that served it, and with nobody else. */
import './style/all.css'
import './core/theme.ts'
import { render } from 'preact'
import { App } from './app.tsx'
import { logInAgain } from './core/api.ts'
import { whenChanged } from './core/signal.ts'

const root = document.getElementById('app')
if (root !== null) {
  const draw = (): void => render(<App />, root)
  logInAgain()
    .finally(() => whenChanged(draw))
    .then(draw, draw)
}
