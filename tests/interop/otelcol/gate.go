// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// A gate in front of the exporters, as a full back end would be: while its file holds "CODE SECONDS" (a gRPC code, and
// how long to wait; 0: not said) every batch is refused with that. What the sender then sees is made by the collector's
// own receiver. An empty or missing file lets all pass.
type gate struct {
	File string `mapstructure:"file"`
}

func (g *gate) check() error {
	text, err := os.ReadFile(g.File)
	if errors.Is(err, os.ErrNotExist) || len(text) == 0 {
		return nil
	}
	var code, seconds uint32
	if _, err := fmt.Sscan(string(text), &code, &seconds); err != nil {
		return status.Error(codes.Internal, "the gate's file: "+err.Error())
	}
	refusal := status.New(codes.Code(code), "the gate is shut")
	if seconds > 0 {
		wait := durationpb.New(time.Duration(seconds) * time.Second)
		refusal, err = refusal.WithDetails(&errdetails.RetryInfo{RetryDelay: wait})
		if err != nil {
			return err
		}
	}
	return refusal.Err()
}

func newGateFactory() processor.Factory {
	return processor.NewFactory(component.MustNewType("gate"), func() component.Config { return &gate{} },
		processor.WithTraces(func(ctx context.Context, set processor.Settings, cfg component.Config,
			next consumer.Traces) (processor.Traces, error) {
			check := func(_ context.Context, data ptrace.Traces) (ptrace.Traces, error) {
				return data, cfg.(*gate).check()
			}
			return processorhelper.NewTraces(ctx, set, cfg, next, check)
		}, component.StabilityLevelDevelopment),
		processor.WithMetrics(func(ctx context.Context, set processor.Settings, cfg component.Config,
			next consumer.Metrics) (processor.Metrics, error) {
			check := func(_ context.Context, data pmetric.Metrics) (pmetric.Metrics, error) {
				return data, cfg.(*gate).check()
			}
			return processorhelper.NewMetrics(ctx, set, cfg, next, check)
		}, component.StabilityLevelDevelopment),
		processor.WithLogs(func(ctx context.Context, set processor.Settings, cfg component.Config,
			next consumer.Logs) (processor.Logs, error) {
			check := func(_ context.Context, data plog.Logs) (plog.Logs, error) {
				return data, cfg.(*gate).check()
			}
			return processorhelper.NewLogs(ctx, set, cfg, next, check)
		}, component.StabilityLevelDevelopment))
}
