/** For `DATABASE=postgres pnpm run migrations`, which writes the SQL that the service applies at start. */
export default {
  dialect: 'postgresql',
  schema: './src/store/postgres/schema.ts',
  schemaFilter: ['longhold_kms'],
  out: './migrations/postgres',
}
