// SPDX-License-Identifier: Apache-2.0
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.sts.StsClient;

/** AWS SDK for Java v2 over the JDK's own TLS: GetCallerIdentity, then ListObjectsV2 of argv[0]. */
public class AwsJava {
    public static void main(String[] args) {
        Region region = Region.of(System.getenv().getOrDefault("AWS_REGION", "eu-west-1"));
        try (StsClient sts = StsClient.builder().region(region).httpClient(UrlConnectionHttpClient.create()).build()) {
            System.out.println(sts.getCallerIdentity().account());
        }
        if (args.length > 0) {
            try (S3Client s3 = S3Client.builder().region(region).httpClient(UrlConnectionHttpClient.create()).build()) {
                System.out.println(s3.listObjectsV2(r -> r.bucket(args[0])).keyCount());
            }
        }
    }
}
