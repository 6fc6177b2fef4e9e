// SPDX-License-Identifier: Apache-2.0
// aws-sdk-go-v2: GetCallerIdentity, then for each further argument "s3:BUCKET", "ddb:TABLE" or "sm:SECRET" one call.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func main() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, what := range os.Args[1:] {
		kind, name, _ := strings.Cut(what, ":")
		switch kind {
		case "sts":
			_, err = sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		case "s3":
			_, err = s3.NewFromConfig(cfg).ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &name})
		case "ddb":
			_, err = dynamodb.NewFromConfig(cfg).DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		case "sm":
			_, err = secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
		default:
			err = fmt.Errorf("unknown call %q", what)
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("ok", what)
	}
}
