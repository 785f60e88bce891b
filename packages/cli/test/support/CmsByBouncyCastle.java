import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.MGF1ParameterSpec;
import java.util.Map;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.cms.CMSAttributes;
import org.bouncycastle.asn1.cms.CMSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSEnvelopedDataStreamGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.operator.jcajce.JcaAlgorithmParametersConverter;

/** Arguments: a certificate, a file with the plaintext, a folder for the messages. */
public class CmsByBouncyCastle {
  static X509Certificate certificate;

  public static void main(String[] args) throws Exception {
    Security.addProvider(new BouncyCastleProvider());
    try (InputStream in = new FileInputStream(args[0])) {
      certificate = (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in);
    }
    byte[] plaintext = Files.readAllBytes(Path.of(args[1]));
    CMSProcessableByteArray content = new CMSProcessableByteArray(plaintext);
    Path folder = Path.of(args[2]);
    Map<String, ASN1ObjectIdentifier> ciphers = Map.of(
        "aes-128-gcm", CMSAlgorithm.AES128_GCM, "aes-256-gcm", CMSAlgorithm.AES256_GCM,
        "aes-128-ccm", CMSAlgorithm.AES128_CCM, "aes-256-ccm", CMSAlgorithm.AES256_CCM);
    for (Map.Entry<String, ASN1ObjectIdentifier> cipher : ciphers.entrySet()) {
      for (boolean hasAttributes : new boolean[] {false, true}) {
        CMSAuthEnvelopedDataGenerator generator = new CMSAuthEnvelopedDataGenerator();
        generator.addRecipientInfoGenerator(recipient());
        Attribute type = new Attribute(CMSAttributes.contentType, new DERSet(CMSObjectIdentifiers.data));
        if (hasAttributes) generator.setAuthenticatedAttributeGenerator(parameters -> new AttributeTable(type));
        byte[] message = generator.generate(content, (OutputAEADEncryptor) encryptor(cipher.getValue())).getEncoded();
        Files.write(folder.resolve((hasAttributes ? "attributes-" : "authenticated-") + cipher.getKey()), message);
      }
      CMSEnvelopedDataGenerator generator = new CMSEnvelopedDataGenerator();
      generator.addRecipientInfoGenerator(recipient());
      byte[] message = generator.generate(content, encryptor(cipher.getValue())).getEncoded();
      Files.write(folder.resolve("enveloped-" + cipher.getKey()), message);
    }

    AlgorithmIdentifier oaep = new JcaAlgorithmParametersConverter().getAlgorithmIdentifier(
        PKCSObjectIdentifiers.id_RSAES_OAEP,
        new OAEPParameterSpec(
            "SHA-256", "MGF1", MGF1ParameterSpec.SHA1, new PSource.PSpecified(new byte[] {1, 2, 3})));
    CMSEnvelopedDataStreamGenerator stream = new CMSEnvelopedDataStreamGenerator();
    stream.setBufferSize(1000);
    stream.addRecipientInfoGenerator(new JceKeyTransRecipientInfoGenerator(certificate, oaep).setProvider("BC"));
    try (OutputStream file = new FileOutputStream(folder.resolve("stream-aes-256-cbc").toFile());
        OutputStream body = stream.open(file, encryptor(CMSAlgorithm.AES256_CBC))) {
      body.write(plaintext);
    }
  }

  static JceKeyTransRecipientInfoGenerator recipient() throws Exception {
    return new JceKeyTransRecipientInfoGenerator(certificate).setProvider("BC");
  }

  static OutputEncryptor encryptor(ASN1ObjectIdentifier cipher) throws Exception {
    return new JceCMSContentEncryptorBuilder(cipher).setProvider("BC").build();
  }
}
