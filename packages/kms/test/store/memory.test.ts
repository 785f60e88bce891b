import { MemoryStore } from '../../src/store/memory.ts'
import { keyStoreContract } from '../contracts/key-store.ts'

keyStoreContract('memory', async () => {
  const store = new MemoryStore()
  return { store, close: () => store.close() }
})
