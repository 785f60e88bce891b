import { MemoryKeyStore } from '../../src/stores/memory.ts'
import { describeWrappedKeyStore } from '../contracts/wrapped-key-store.ts'

describeWrappedKeyStore('memory', async () => new MemoryKeyStore())
