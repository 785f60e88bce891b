/** `/livez` and `/readyz`: for whoever starts, stops and balances. They say nothing else. */

import type { Service } from '../../service/service.ts'
import type { App } from '../env.ts'

export function healthRoutes(app: App, service: Service): void {
  app.get('/livez', (c) => c.json({ status: 'ok' }))
  // While the service drains, the answer comes before this one.
  app.get('/readyz', async (c) => {
    await service.checkReady()
    return c.json({ status: 'ok' })
  })
}
