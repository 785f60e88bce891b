import { expect, test } from 'vitest'

import { Metrics } from '../../src/http/metrics.ts'

const answered = {
  route: '/v1/keys/:key',
  status: 200,
  code: undefined,
  durationMs: 3,
  outcomes: undefined,
} as const

test('requests, problems, refusals and the state of the service are there to be read', async () => {
  const metrics = new Metrics()
  let connections = 2
  const [yes, no] = [() => true, () => false]
  metrics.gauges({ connections: () => connections, isSealed: yes, isDraining: no, isFrozen: no })
  metrics.answered({ method: 'GET', ...answered })
  metrics.answered({ method: 'GET', ...answered, status: 404, code: 'not_found' })
  const outcomes = new Map([['done', 7] as const, ['unwrap_failed', 2] as const])
  metrics.answered({ method: 'POST', ...answered, route: '/v1/unwrap', outcomes })
  metrics.refused('no_post_quantum_group')
  connections = 3
  const lines = (await metrics.text()).split('\n')
  expect(lines).toContain('longhold_kms_requests_total{method="GET",route="/v1/keys/:key",status="200"} 1')
  expect(lines).toContain('longhold_kms_requests_total{method="GET",route="/v1/keys/:key",status="404"} 1')
  expect(lines).toContain('longhold_kms_request_duration_seconds_bucket{le="0.005",route="/v1/keys/:key"} 2')
  expect(lines).toContain('longhold_kms_items_total{route="/v1/unwrap",outcome="done"} 7')
  expect(lines).toContain('longhold_kms_items_total{route="/v1/unwrap",outcome="unwrap_failed"} 2')
  expect(lines).toContain('longhold_kms_problems_total{code="not_found"} 1')
  expect(lines).toContain('longhold_kms_connections_refused_total{reason="no_post_quantum_group"} 1')
  expect(lines).toContain('longhold_kms_connections_refused_total{reason="old_tls"} 0')
  expect(lines).toContain('longhold_kms_connections 3')
  expect(lines).toContain('longhold_kms_sealed 1')
  expect(lines).toContain('longhold_kms_draining 0')
  expect(lines).toContain('longhold_kms_frozen 0')
  expect(lines.some((line) => line.startsWith('process_resident_memory_bytes '))).toBe(true)
})

test('nobody makes a series by what he sends', async () => {
  const metrics = new Metrics()
  const before = (await metrics.text()).split('\n').length
  for (const method of ['PROPFIND', 'LOCK', 'M-SEARCH', 'REPORT']) metrics.answered({ method, ...answered })
  const text = await metrics.text()
  expect(text).toContain('longhold_kms_requests_total{method="other",route="/v1/keys/:key",status="200"} 4')
  // One line of requests; the buckets of one route, its sum and count.
  expect(text.split('\n').length - before).toBe(1 + 14 + 2)
})

test('two services in one process count apart', async () => {
  const [one, other] = [new Metrics(), new Metrics()]
  one.refused('old_tls')
  expect(await other.text()).toContain('longhold_kms_connections_refused_total{reason="old_tls"} 0')
})

test('is served as Prometheus reads it', async () => {
  const response = await new Metrics().app().request('/metrics')
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/u)
  expect(await response.text()).toContain('# TYPE longhold_kms_requests_total counter')
})
