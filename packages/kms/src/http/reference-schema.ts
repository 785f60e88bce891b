/** Schemas as HTML, for the page of the API. */

import { referenceName } from './openapi-examples.ts'
import type { Schema } from './openapi-examples.ts'

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/gu, (character) => entities[character] ?? '')
}

/** Text with `code` in it. */
export function inlineText(text: string): string {
  return escapeHtml(text).replaceAll(/`([^`]+)`/gu, '<code>$1</code>')
}

export function schemaHtml(schema: Schema): string {
  const name = referenceName(schema)
  if (name !== undefined) return `<a class="schema" href="#schema-${name}">${escapeHtml(name)}</a>`
  const choices = schema.anyOf ?? schema.oneOf
  if (choices !== undefined) {
    return `<ul class="choices">${choices.map((one) => `<li>${schemaHtml(one)}</li>`).join('')}</ul>`
  }
  if (schema.properties !== undefined) return propertiesHtml(schema, schema.properties)
  if (schema.items !== undefined) {
    return `<span class="type">list of</span> ${schemaHtml(schema.items)}${limits(schema)}`
  }
  if (schema.enum !== undefined) {
    return schema.enum.map((one) => `<code>${escapeHtml(String(one))}</code>`).join(' ')
  }
  return `<span class="type">${escapeHtml(typeName(schema))}</span>${limits(schema)}`
}

function propertiesHtml(
  { required = [], type }: Schema,
  properties: Readonly<Record<string, Schema>>,
): string {
  const rows = Object.entries(properties).map(([name, one]) => {
    const note = required.includes(name) ? '' : '<small>optional</small>'
    const text = one.description === undefined ? '' : `<p>${inlineText(one.description)}</p>`
    return `<tr><td><code>${escapeHtml(name)}</code>${note}</td><td>${schemaHtml(one)}${text}</td></tr>`
  })
  const mayBeNull = Array.isArray(type) && type.includes('null') ? '<small>or null</small>' : ''
  return `<table>${rows.join('')}</table>${mayBeNull}`
}

function typeName({ type, const: constant, format }: Schema): string {
  if (constant !== undefined) return JSON.stringify(constant)
  const names = [type ?? 'anything'].flat().join(' or ')
  return format === undefined ? names : `${names} (${format})`
}

function limits({ minLength, maxLength, pattern, minItems, example }: Schema): string {
  const parts = [
    minLength === undefined ? '' : `at least ${minLength}`,
    maxLength === undefined ? '' : `at most ${maxLength}`,
    minItems === undefined ? '' : `at least ${minItems}`,
    pattern === undefined ? '' : `/${pattern}/`,
    example === undefined ? '' : `as in ${typeof example === 'string' ? example : JSON.stringify(example)}`,
  ].filter((part) => part !== '')
  return parts.length === 0 ? '' : ` <small>${escapeHtml(parts.join(', '))}</small>`
}
