/** Which app answers: the service's while it is open, else the one that says that it is sealed. */

import { createApp } from '../http/app.ts'
import type { App } from '../http/env.ts'
import type { SlotOpeners } from '../http/gate.ts'
import type { FrameOptions } from '../http/request-frame.ts'
import { createSealedApp } from '../http/sealed-app.ts'
import type { SharedOptions } from '../http/shared.ts'
import type { Service } from '../service/service.ts'
import type { ServiceGate } from './gate.ts'

export type Handler = Pick<App, 'fetch'>

export interface HandlerOptions extends FrameOptions {
  readonly limits?: SharedOptions | undefined
}

/** Unsealing and setting up are served where they may be. */
export function handlerOf(
  gate: ServiceGate,
  openers: SlotOpeners,
  { limits, ...frame }: HandlerOptions,
  { mayUnseal, mayInit }: { readonly mayUnseal: boolean; readonly mayInit: boolean },
): Handler {
  const sealed = createSealedApp({ ...frame, gate, mayUnseal, mayInit })
  let open: { readonly service: Service; readonly app: App } | undefined
  return {
    fetch: async (request, ...rest) => {
      const { service } = gate
      if (service === undefined) {
        open = undefined
        return await sealed.fetch(request, ...rest)
      }
      if (open?.service !== service) {
        open = { service, app: createApp({ ...frame, service, gate, openers, mayUnseal, limits }) }
      }
      const { app } = open
      return await gate.during(service, () => app.fetch(request, ...rest))
    },
  }
}
