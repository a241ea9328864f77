// A client that seals and opens with npm `jose`. One JSON object on standard input, one on standard output:
//   {keys: JWK set, curve, texts} -> {key: private JWK, named: public JWK, sealed: [JWE]}   seals to the server, names a key
//   {key: private JWK, sealed: [JWE]} -> {texts, headers}                                  opens what came from the server
import { webcrypto } from 'node:crypto'
import { CompactEncrypt, compactDecrypt, exportJWK, generateKeyPair, importJWK } from 'jose'

globalThis.crypto ??= webcrypto // node 18

const chunks = []
for await (const chunk of process.stdin) chunks.push(chunk)
const asked = JSON.parse(Buffer.concat(chunks).toString())

async function seal({ keys, curve, texts }) {
  const [published] = keys.keys
  const server = await importJWK(published, published.alg)
  const header = { alg: published.alg, enc: 'A256GCM', kid: published.kid }
  const pair = await generateKeyPair('ECDH-ES', { crv: curve, extractable: true })
  const sealed = await Promise.all(
    texts.map((text) => new CompactEncrypt(new TextEncoder().encode(text)).setProtectedHeader(header).encrypt(server)),
  )
  return { key: await exportJWK(pair.privateKey), named: await exportJWK(pair.publicKey), sealed }
}

async function open({ key, sealed }) {
  const own = await importJWK(key, 'ECDH-ES')
  const opened = await Promise.all(sealed.map((each) => compactDecrypt(each, own)))
  return {
    texts: opened.map(({ plaintext }) => new TextDecoder().decode(plaintext)),
    headers: opened.map(({ protectedHeader }) => protectedHeader),
  }
}

process.stdout.write(JSON.stringify(await (asked.keys ? seal(asked) : open(asked))))
