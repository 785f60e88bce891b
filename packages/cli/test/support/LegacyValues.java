// Values as Java programs write them: the layouts after amazon-s3-encryption-client-java (RsaKeyring, ContentMetadata…)
// and spring-security (RsaSecretEncryptor, AesBytesEncryptor), the cryptography by the JDK under the names that those use.
//
//   java LegacyValues.java PUBLIC_KEY_DER PLAINTEXT      prints a line NAME<tab>JSON for each value

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.HexFormat;
import javax.crypto.Cipher;
import javax.crypto.SecretKeyFactory;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PBEKeySpec;
import javax.crypto.spec.PSource;
import javax.crypto.spec.SecretKeySpec;

public class LegacyValues {
  static final SecureRandom random = new SecureRandom();
  static final OAEPParameterSpec sha1 =
      new OAEPParameterSpec("SHA-1", "MGF1", new MGF1ParameterSpec("SHA-1"), PSource.PSpecified.DEFAULT);
  static PublicKey key;

  public static void main(String[] args) throws Exception {
    byte[] der = Files.readAllBytes(Path.of(args[0]));
    key = KeyFactory.getInstance("RSA").generatePublic(new X509EncodedKeySpec(der));
    byte[] plaintext = args[1].getBytes(StandardCharsets.UTF_8);
    s3("s3-v1", plaintext, "RSA", "AES/CBC/PKCS5Padding");
    s3("s3-v2-cbc", plaintext, "RSA/ECB/OAEPWithSHA-256AndMGF1Padding", "AES/CBC/PKCS5Padding");
    s3("s3-v2-ecb", plaintext, "RSA/ECB/OAEPWithSHA-256AndMGF1Padding", "AES/GCM/NoPadding");
    s3("s3-v2", plaintext, "RSA-OAEP-SHA1", "AES/GCM/NoPadding");
    spring("spring", plaintext, "RSA", false);
    spring("spring-strong", plaintext, "RSA", true);
    spring("spring-oaep", plaintext, "RSA/ECB/OAEPPadding", true);
  }

  static void s3(String name, byte[] plaintext, String wrap, String cek) throws Exception {
    byte[] dataKey = bytes(32);
    boolean gcm = cek.contains("GCM");
    byte[] iv = bytes(gcm ? 12 : 16);
    byte[] wrapped;
    if (wrap.equals("RSA-OAEP-SHA1")) {
      ByteArrayOutputStream pseudo = new ByteArrayOutputStream();
      pseudo.write(dataKey.length);
      pseudo.write(dataKey);
      pseudo.write(cek.getBytes(StandardCharsets.UTF_8));
      Cipher rsa = Cipher.getInstance("RSA/ECB/OAEPPadding");
      rsa.init(Cipher.WRAP_MODE, key, sha1, random);
      wrapped = rsa.wrap(new SecretKeySpec(pseudo.toByteArray(), "AES"));
    } else {
      Cipher rsa = Cipher.getInstance(wrap);
      rsa.init(Cipher.WRAP_MODE, key, random);
      wrapped = rsa.wrap(new SecretKeySpec(dataKey, "AES"));
    }
    Cipher aes = Cipher.getInstance(cek);
    aes.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(dataKey, "AES"),
        gcm ? new GCMParameterSpec(128, iv) : new IvParameterSpec(iv));
    byte[] body = aes.doFinal(plaintext);
    boolean v1 = name.equals("s3-v1");
    String metadata = "\"" + (v1 ? "x-amz-key" : "x-amz-key-v2") + "\":\"" + base64(wrapped)
        + "\",\"x-amz-iv\":\"" + base64(iv) + "\",\"x-amz-matdesc\":\"{}\""
        + (v1 ? "" : ",\"x-amz-wrap-alg\":\"" + wrap + "\",\"x-amz-cek-alg\":\"" + cek + "\"")
        + (gcm ? ",\"x-amz-tag-len\":\"128\"" : "");
    System.out.println(name + "\t{\"metadata\":{" + metadata + "},\"body\":\"" + base64(body) + "\"}");
  }

  static void spring(String name, byte[] plaintext, String algorithm, boolean strong) throws Exception {
    byte[] secret = bytes(16);
    Cipher rsa = Cipher.getInstance(algorithm);
    rsa.init(Cipher.ENCRYPT_MODE, key);
    byte[] wrapped = rsa.doFinal(secret);
    char[] password = HexFormat.of().formatHex(secret).toCharArray();
    PBEKeySpec spec = new PBEKeySpec(password, HexFormat.of().parseHex("deadbeef"), 1024, 256);
    byte[] aesKey = SecretKeyFactory.getInstance("PBKDF2WithHmacSHA1").generateSecret(spec).getEncoded();
    byte[] iv = bytes(16);
    Cipher aes = Cipher.getInstance(strong ? "AES/GCM/NoPadding" : "AES/CBC/PKCS5Padding");
    aes.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(aesKey, "AES"),
        strong ? new GCMParameterSpec(128, iv) : new IvParameterSpec(iv));
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    all.write(wrapped.length >> 8);
    all.write(wrapped.length);
    all.write(wrapped);
    all.write(iv);
    all.write(aes.doFinal(plaintext));
    System.out.println(name + "\t\"{cipher}" + base64(all.toByteArray()) + "\"");
  }

  static byte[] bytes(int count) {
    byte[] bytes = new byte[count];
    random.nextBytes(bytes);
    return bytes;
  }

  static String base64(byte[] bytes) {
    return Base64.getEncoder().encodeToString(bytes);
  }
}
